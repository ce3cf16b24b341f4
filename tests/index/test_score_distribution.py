import numpy as np
import pytest

from index.compared_vectors import ComparedVectors
from index.score_distribution import BINS, ScoreDistribution, sample_scores
from index.similar_pairs import exact_pairs, join_pairs
from tests.conftest import random_vectors, write_dataset


def learnt(folder, vectors):
    compared = ComparedVectors(
        (write_dataset(folder, vectors, part_rows=500),), np.arange(len(vectors))
    )
    return ScoreDistribution.learn(sample_scores(compared), compared.pairs), compared


def with_copies(strangers: int, copies: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and which of them are copies of the same one."""
    base = np.abs(random_vectors(strangers, 64))
    rng = np.random.default_rng(1)
    copied = base[:copies] + rng.normal(0, noise, (copies, 64)).astype(np.float32)
    return np.concatenate([base, copied]), np.r_[np.arange(strangers), np.arange(copies)]


@pytest.mark.parametrize("precision", [0.9, 0.99])
def test_the_threshold_has_about_the_precision_that_was_asked_for(tmp_path, precision):
    vectors, which = with_copies(1500, 300, 0.35)
    distribution, compared = learnt(tmp_path, vectors)
    pairs = join_pairs(
        exact_pairs(compared.units(), range(len(vectors)), 0.6, len(vectors)), len(vectors)
    )
    threshold = distribution.threshold(precision, pairs.scores)
    above = pairs.take(pairs.scores >= threshold)
    true = (which[above.first] == which[above.second]).mean()
    assert true >= precision - 0.02
    assert len(above) > 100


def test_among_strangers_no_score_is_sure(tmp_path):
    distribution, compared = learnt(tmp_path, random_vectors(400, 64))
    pairs = join_pairs(exact_pairs(compared.units(), range(400), 0.5, 400), 400)
    assert distribution.threshold(0.99, pairs.scores) is None


def test_the_tail_is_the_one_that_is_there():
    centers = (np.arange(BINS) + 0.5) * 2 / BINS - 1
    share = np.exp(-20 * np.abs(centers - 0.3))
    histogram = np.rint(1e7 * share / share.sum()).astype(np.int64)
    distribution = ScoreDistribution.learn(histogram, 10**9)
    assert distribution.decay == pytest.approx(20, rel=0.08)
    for score in (0.7, 0.8):
        expected = 10**9 * 0.5 * np.exp(-20 * (score - 0.3))
        assert distribution.strangers_above(score) == pytest.approx(expected, rel=0.4)
        share_there = distribution.strangers_above(score) / 10**9
        assert distribution.score_of_share(share_there) == pytest.approx(score, abs=1e-6)


def test_too_few_pictures_and_pictures_all_alike_teach_nothing(tmp_path):
    assert learnt(tmp_path / "few", random_vectors(20, 8))[0] is None
    assert learnt(tmp_path / "alike", np.ones((500, 8), np.float32))[0] is None


def test_no_pairs_have_no_threshold():
    histogram = np.bincount(np.random.default_rng(0).integers(2000, 2600, 10**5), minlength=BINS)
    distribution = ScoreDistribution.learn(histogram, 10**5)
    assert distribution.threshold(0.99, np.empty(0, np.float32)) is None
