import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from index.embedding_dataset import EmbeddingDataset, encode_part
from index.errors import ArtifactDamaged, OutputMissing, SpaceMismatch
from index.vector_space import VectorSpace
from tests.conftest import picture_table, random_vectors, space, write_dataset


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_vectors_come_back_bit_for_bit(data):
    count, width = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 40))
    floats = st.floats(width=32, allow_nan=False)
    vectors = data.draw(arrays(np.float32, (count, width), elements=floats))
    part = encode_part(picture_table(count), vectors, space(width=width))
    table = pq.read_table(pa.BufferReader(part))
    read = table.column("embedding").combine_chunks().flatten().to_numpy().reshape(count, width)
    assert np.array_equal(read, vectors)


@pytest.mark.parametrize("size", [1, 7, 100, 250, 1000])
def test_batches_are_all_rows_in_order(tmp_path, size):
    vectors = random_vectors(250)
    dataset = write_dataset(tmp_path, vectors, part_rows=60)
    batches = list(dataset.batches(size))
    assert all(len(batch) == size for batch in batches[:-1])
    assert np.array_equal(np.concatenate([batch.vectors for batch in batches]), vectors)
    uris = [uri for batch in batches for uri in batch.pictures["uri"].to_pylist()]
    assert uris == [f"/p/{row:03}.jpg" for row in range(250)]
    assert np.array_equal(dataset.vectors(), vectors)


def test_every_picture_says_where_its_vector_is(tmp_path):
    vectors = random_vectors(25)
    dataset = write_dataset(tmp_path, vectors, part_rows=10)
    pictures = dataset.pictures()
    order = np.random.default_rng(0).permutation(25)
    parts, rows = (pictures.column(name).to_numpy()[order] for name in ("part", "row"))
    assert np.array_equal(dataset.vectors_at(parts, rows), vectors[order])


def test_other_readers_see_the_same_rows(tmp_path):
    write_dataset(tmp_path, random_vectors(25), part_rows=10)
    found = pyarrow.dataset.dataset(tmp_path / "embeddings", partitioning="hive").to_table()
    assert found.num_rows == 25
    assert set(found.column("variant").to_pylist()) == {"tiny"}


def test_a_part_says_what_its_vectors_mean(tmp_path):
    dataset = write_dataset(tmp_path, random_vectors(3))
    path = tmp_path / "embeddings/variant=tiny/part-00000.parquet"
    stored = pq.read_schema(path).metadata[b"lookalike.vector_space"]
    assert VectorSpace.model_validate_json(stored) == dataset.space


def test_an_unfinished_output_is_refused_with_the_cure(tmp_path):
    write_dataset(tmp_path, random_vectors(3))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(OutputMissing, match="lookalike embed"):
        EmbeddingDataset.open(str(tmp_path))


def test_an_unknown_variant_is_refused_with_those_there_are(tmp_path):
    write_dataset(tmp_path, random_vectors(3))
    assert len(EmbeddingDataset.open(str(tmp_path))) == 3
    with pytest.raises(OutputMissing, match="it holds tiny"):
        EmbeddingDataset.open(str(tmp_path), "huge")


@pytest.mark.parametrize("place", [4, 200, -20])
def test_a_flipped_byte_in_a_part_is_refused(tmp_path, place):
    dataset = write_dataset(tmp_path, random_vectors(30))
    path = tmp_path / "embeddings/variant=tiny/part-00000.parquet"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactDamaged, match=r"part-00000\.parquet has sha256"):
        dataset.vectors()


def test_a_part_that_is_gone_is_refused(tmp_path):
    dataset = write_dataset(tmp_path, random_vectors(30), part_rows=10)
    (tmp_path / "embeddings/variant=tiny/part-00001.parquet").unlink()
    with pytest.raises(ArtifactDamaged, match="is gone"):
        dataset.vectors()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fingerprint", "e" * 64),
        ("recipe", "bilinear-aa-2"),
        ("signature", "image_feature_vector"),
        ("input_size", (96, 96)),
        ("num_features", 7),
    ],
)
def test_another_space_is_refused_with_both_values(field, value):
    stored, query = space(), space(**{field: value})
    with pytest.raises(SpaceMismatch) as refused:
        stored.require_same(query)
    assert repr(getattr(stored, field)) in str(refused.value)
    assert repr(value) in str(refused.value)


def test_the_same_weights_under_another_name_are_the_same_space():
    space().require_same(space(variant="other", handle="https://elsewhere"))
