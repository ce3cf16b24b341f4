import numpy as np

from index.factory_string import IndexLayout
from index.index_files import IndexFiles
from index.output_folder import OutputFolder
from index.recall import exact_neighbors, sample_queries
from index.search_tuning import IN_HAND, SearchTuning
from tests.conftest import random_vectors
from tests.index.test_living_index import OURS
from tests.index.test_vector_index import built


def tuned(tmp_path, min_recall, factory=OURS):
    dataset, _ = built(tmp_path, random_vectors(3000), factory)
    layout = IndexLayout.parse(factory)
    files = IndexFiles.open(OutputFolder.at(tmp_path).folder("index", "variant=tiny"), layout)
    exact = exact_neighbors(dataset, sample_queries(dataset))
    return SearchTuning(files.searched, exact, None, min_recall).tune(layout)


def test_more_recall_costs_more_candidates_or_lists(tmp_path):
    low, high = (tuned(tmp_path / str(recall), recall) for recall in (0.7, 0.97))
    for found, recall in ((low, 0.7), (high, 0.97)):
        assert found.reached
        lower = found.chosen.recall_at_10 - 1.645 * found.chosen.recall_error
        assert lower >= recall + IN_HAND * (1 - recall)
    assert sum(low.chosen.parameters.values()) < sum(high.chosen.parameters.values())


def test_no_cheaper_setting_that_was_tried_reaches_the_recall(tmp_path):
    found = tuned(tmp_path, 0.9)
    chosen = found.chosen.parameters
    for other in found.tried:
        if all(other.parameters[name] <= chosen[name] for name in chosen) and other != found.chosen:
            assert other.recall_at_10 < 0.93


def test_what_cannot_be_reached_is_told_with_the_best_there_is(tmp_path):
    found = tuned(tmp_path, 0.99999, "PCAR8,IVF8,PQ4x4fs,Refine(SQ8)")
    assert not found.reached
    assert found.chosen.recall_at_10 == max(one.recall_at_10 for one in found.tried)


def test_tuning_twice_gives_the_same_setting_whatever_the_clock_says(tmp_path):
    first, second = tuned(tmp_path / "a", 0.9), tuned(tmp_path / "b", 0.9)
    assert first.chosen.parameters == second.chosen.parameters
    assert np.isclose(first.chosen.recall_at_10, second.chosen.recall_at_10)
