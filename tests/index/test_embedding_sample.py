import numpy as np
import pytest

from index.embedding_sample import nearest_distances, sample_embeddings
from index.unit_vectors import unit_vectors
from tests.conftest import random_vectors, write_dataset


def test_a_sample_is_seeded_and_its_rows_vectors_and_names_belong_together(tmp_path):
    vectors = random_vectors(250)
    dataset = write_dataset(tmp_path, vectors)
    sample, again = (sample_embeddings(dataset, 60) for _ in range(2))
    assert len(set(sample.rows.tolist())) == 60
    np.testing.assert_array_equal(sample.rows, again.rows)
    np.testing.assert_array_equal(sample.units, unit_vectors(vectors[sample.rows]))
    assert sample.uris == tuple(f"/p/{row:03}.jpg" for row in sample.rows)
    assert sample.told == "60 of 250 pictures, drawn at random"
    assert sample_embeddings(dataset).told == "all 250 pictures"


def test_the_nearest_other_is_found_in_all_of_the_dataset(tmp_path):
    vectors = random_vectors(250)
    vectors[7] = vectors[203] * 3  # the same direction
    dataset = write_dataset(tmp_path, vectors)
    sample = sample_embeddings(dataset, 100)
    scores = unit_vectors(vectors) @ unit_vectors(vectors).T
    np.fill_diagonal(scores, -np.inf)
    expected = 1 - scores.max(axis=1)[sample.rows]
    found = nearest_distances(dataset, sample)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    whole = nearest_distances(dataset, sample_embeddings(dataset))
    assert np.flatnonzero(whole == 0).tolist() == [7, 203]


@pytest.mark.parametrize("count", [0, 1])
def test_there_may_be_nothing_to_sample(tmp_path, count):
    sample = sample_embeddings(write_dataset(tmp_path, random_vectors(count)))
    assert len(sample) == sample.total == count
