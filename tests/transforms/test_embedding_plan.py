import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.output_folder import OutputFolder
from transforms import embedding_plan
from transforms.elements import FileChunk, FileReference
from transforms.embedding_plan import (
    CHUNK_BYTES,
    CHUNK_FILES,
    UNLISTED_BYTES,
    ordered_files,
    plan_embedding,
)
from transforms.plan_file import PlanFile, write_plan

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
    chunks = plan_embedding(ordered_files(by_uri.values()), ["v"])
    shuffled = list(by_uri.values())
    order.shuffle(shuffled)
    assert plan_embedding(ordered_files(shuffled), ["v"]) == chunks
    planned = [file for chunk in chunks for file in chunk.files]
    assert planned == sorted(by_uri.values(), key=lambda file: file.uri)
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        sizes = [UNLISTED_BYTES if one.bytes is None else one.bytes for one in chunk.files]
        assert len(sizes) == 1 or sum(sizes) <= CHUNK_BYTES


def test_a_chunk_holds_so_many_files():
    files = [FileReference(f"{number:05}", 10) for number in range(CHUNK_FILES * 2 + 1)]
    chunks = plan_embedding(files, ["v"])
    assert [len(chunk.files) for chunk in chunks] == [CHUNK_FILES, CHUNK_FILES, 1]


def test_a_file_listed_twice_is_read_once():
    assert ordered_files([FileReference("a", 1), FileReference("a", 1)]) == [FileReference("a", 1)]


@pytest.fixture
def chunks_of_three(monkeypatch):
    monkeypatch.setattr(embedding_plan, "CHUNK_FILES", 3)


@given(done=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
def test_what_is_done_leaves_the_rest_where_it_was(done):
    files = [FileReference(f"{number:02}", CHUNK_BYTES // 3) for number in range(len(done))]
    table = np.array(done, bool).reshape(-1, 2)
    whole = plan_embedding(files, ["a", "b"])
    chunk_of = {file.uri: chunk.number for chunk in whole for file in chunk.files}
    chunks = plan_embedding(files, ["a", "b"], table)
    planned = set()
    for chunk in chunks:
        assert chunk.files
        for file in chunk.files:
            assert chunk.number % len(whole) == chunk_of[file.uri]
            planned |= {(file.uri, name) for name in chunk.variants}
    numbers = [chunk.number for chunk in chunks]
    assert numbers == sorted(set(numbers))
    assert planned == {
        (file.uri, name)
        for file, row in zip(files, done, strict=True)
        for name, is_done in zip("ab", row, strict=True)
        if not is_done
    }
    nothing_done = [number for number in numbers if number < len(whole)]
    assert {number for number in chunk_of.values() if number in nothing_done} == set(nothing_done)


@pytest.mark.usefixtures("chunks_of_three")
def test_a_chunk_takes_back_what_was_computed_of_it():
    files = [FileReference(f"{number}", 1) for number in range(7)]
    done = np.zeros((7, 2), bool)
    done[[3, 4, 6]] = True
    done[5, 0] = True
    tasks = [("x", 3, ["a", "b"]), ("y", 6, ["b"])]
    chunks = plan_embedding(files, ["a", "b"], done, tasks)
    assert chunks == (
        FileChunk(0, tuple(files[:3]), ("a", "b")),
        FileChunk(1, (), ("a", "b"), ("x",)),
        FileChunk(1 * 3 + 1, (files[5],), ("b",)),
        FileChunk(1 * 3 + 2, (), ("b",), ("y",)),
    )


@pytest.mark.usefixtures("chunks_of_three")
def test_a_plan_is_read_back_chunk_by_chunk(tmp_path):
    files = [
        FileReference(f"/p/{number} \n\u00e4", number or None, 0.1 * number) for number in range(7)
    ]
    chunks = plan_embedding(files, ["a", "b"], tasks=[("t", 6, ["a", "b"])])
    folder = OutputFolder.at(tmp_path)
    write_plan(folder, chunks)
    plan = PlanFile(folder)
    assert tuple(plan.chunk(place) for place in range(len(chunks))) == chunks


A_MILLION = """
import random, resource, sys, time
from index.output_folder import OutputFolder
from transforms.elements import FileReference
from transforms.embedding_plan import ordered_files, plan_embedding
from transforms.finished_work import FinishedWork
from transforms.plan_file import PlanFile, write_plan

def listed(number):
    return FileReference(f"/p/{number // 1000:04}/{number:07}.jpg", 90_000 + number % 999, number + 0.5)

files = [listed(number) for number in range(1_000_000)]
random.Random(0).shuffle(files)
started = time.perf_counter()
ordered = ordered_files(files)
work = FinishedWork(ordered, ["v"], lambda uris: [])
chunks = plan_embedding(ordered, ["v"], work.done)
folder = OutputFolder.at(sys.argv[1])
write_plan(folder, chunks)
planned = PlanFile(folder).chunk(len(chunks) - 1)
assert planned == chunks[-1] and planned.files[-1] == listed(999_999)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_a_million_files_are_planned_in_less_than_a_minute_and_two_gigabytes(tmp_path):
    # In a process of its own: one that was forked begins with the peak of its parent.
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {A_MILLION!r}, sys.argv[1]])"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak_mib = map(float, ran.stdout.split())
    assert seconds < 30  # the other half of the minute is for listing them
    assert peak_mib < 2048
