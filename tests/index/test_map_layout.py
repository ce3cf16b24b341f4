import numpy as np
import pytest

from index import map_layout
from index.errors import UsageError
from index.map_layout import MapLayout, check_method, lay_out, umap_process
from index.unit_vectors import unit_vectors
from tests.conftest import random_vectors


def laid_out(method: str, *several: np.ndarray) -> list[MapLayout]:
    with umap_process(method, max(map(len, several))) as process:
        return lay_out(process, several)


def clusters(each: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Vectors in three directions with a little noise, and which direction each has."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), each)
    vectors = np.eye(3, 16)[kinds] + rng.normal(0, 0.05, (len(kinds), 16))
    return unit_vectors(vectors.astype(np.float32)), kinds


def nearest_is_of_same_kind(places: np.ndarray, kinds: np.ndarray) -> float:
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return float((kinds[apart.argmin(axis=1)] == kinds).mean())


def test_pca_puts_like_vectors_together_and_tells_what_it_shows():
    units, kinds = clusters()
    [first], [again] = (laid_out("pca", units) for _ in range(2))
    assert nearest_is_of_same_kind(first.places, kinds) == 1
    assert first.places.min() == 0
    assert first.places.max() == 1
    np.testing.assert_array_equal(first.places, again.places)
    assert "PCA: the two axes hold 9" in first.told


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (np.empty((0, 4), np.float32), "One picture"),
        (np.ones((1, 4), np.float32), "One picture"),
        (np.ones((2, 4), np.float32), "equal"),
        (np.zeros((5, 4), np.float32), "equal"),
        (np.eye(2, 4, dtype=np.float32), "100% of the variance"),
        (np.eye(2, 1, dtype=np.float32), "100% of the variance"),
    ],
)
def test_few_or_equal_vectors_have_places_too(vectors, told):
    [layout] = laid_out("pca", unit_vectors(vectors))
    assert layout.places.shape == (len(vectors), 2)
    assert ((layout.places >= 0) & (layout.places <= 1)).all()
    assert told in layout.told


def test_umap_that_is_asked_for_and_not_there_is_told(monkeypatch):
    monkeypatch.setattr(map_layout, "_umap_version", lambda: None)
    with pytest.raises(UsageError, match="pip install umap-learn"):
        check_method("umap")
    [layout] = laid_out("auto", unit_vectors(random_vectors(50)))
    assert "PCA" in layout.told


def test_umap_that_does_not_work_gives_way_to_pca_and_is_told(monkeypatch, tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit(3)")
    monkeypatch.setattr(map_layout, "_umap_version", lambda: "0")
    monkeypatch.setattr(map_layout, "_SCRIPT", script)
    [layout] = laid_out("auto", unit_vectors(random_vectors(50)))
    assert "PCA" in layout.told
    assert "did not work" in layout.told


@pytest.mark.slow
@pytest.mark.skipif(map_layout._umap_version() is None, reason="umap-learn is not installed")
def test_umap_lays_out_several_sets_and_the_same_way_again():
    units, kinds = clusters()
    small, equal = unit_vectors(random_vectors(5)), np.ones((30, 4), np.float32) / 2
    large, few, same, again = laid_out("umap", units, small, equal, units)
    assert nearest_is_of_same_kind(large.places, kinds) == 1
    assert "UMAP" in large.told
    assert "PCA" in few.told
    assert same.places.shape == (30, 2)
    np.testing.assert_array_equal(large.places, again.places)
