from hypothesis import given
from hypothesis import strategies as st

from transforms.elements import Failure, FileReference
from transforms.embedding_plan import CHUNK_BYTES, CHUNK_FILES, UNLISTED_BYTES, plan_embedding

FILES = st.lists(
    st.builds(
        FileReference,
        uri=st.text("abc/", min_size=1, max_size=6),
        bytes=st.none() | st.integers(0, CHUNK_BYTES * 2),
    ),
    max_size=40,
)


@given(files=FILES, order=st.randoms())
def test_every_file_is_in_one_chunk_whatever_the_order(files, order):
    by_uri = {file.uri: file for file in files}
    plan = plan_embedding(by_uri.values())
    shuffled = list(by_uri.values())
    order.shuffle(shuffled)
    assert plan_embedding(shuffled) == plan
    planned = [file for chunk in plan.chunks for file in chunk.files]
    assert planned == sorted(by_uri.values(), key=lambda file: file.uri)
    assert plan.pictures == len(by_uri)
    assert [chunk.number for chunk in plan.chunks] == list(range(len(plan.chunks)))
    for chunk in plan.chunks:
        sizes = [UNLISTED_BYTES if one.bytes is None else one.bytes for one in chunk.files]
        assert len(sizes) == 1 or sum(sizes) <= CHUNK_BYTES


def test_a_chunk_holds_so_many_files():
    files = [FileReference(f"{number:05}", 10) for number in range(CHUNK_FILES * 2 + 1)]
    plan = plan_embedding(files)
    assert [len(chunk.files) for chunk in plan.chunks] == [CHUNK_FILES, CHUNK_FILES, 1]


def test_a_file_listed_twice_is_read_once():
    plan = plan_embedding([FileReference("a", 1), FileReference("a", 1)])
    assert [chunk.files for chunk in plan.chunks] == [(FileReference("a", 1),)]


def test_names_that_cannot_be_read_travel_with_the_first_chunk():
    failure = Failure("x", "list", "UndecodableName", "m")
    for files in ([], [FileReference("a", 1)]):
        plan = plan_embedding(files, [failure])
        assert plan.chunks[0].failures == (failure,)
        assert plan.pictures == len(files) + 1
