"""How far the work of the index floor is: every step counts all that it said there was to do."""

import numpy as np
import pytest

from index.builder import IndexOptions, build_index
from index.living_index import update_index
from index.output_folder import OutputFolder
from index.progress import SILENT
from index.vector_index import VectorIndex
from tests.conftest import random_vectors, write_dataset
from tests.index.test_vector_index import ON_DISK, OURS
from tests.recorded_progress import RecordedProgress


@pytest.mark.parametrize("factory", ["Flat", OURS, ON_DISK, "IVF8,Flat"])
def test_building_counts_every_vector_in_every_step(tmp_path, factory):
    dataset = write_dataset(tmp_path, random_vectors(600))
    progress = RecordedProgress()
    folder = OutputFolder.at(tmp_path).folder("index")
    build_index(dataset, folder, IndexOptions(factory_string=factory, progress=progress))
    progress.require_complete()
    counted = {step.name for step in progress.steps if step.total == len(dataset)}
    mine = {"adding"} if factory == "IVF8,Flat" else {"encoding", "writing vectors"}
    assert counted >= {"finding true neighbors", *mine}
    assert progress.named("measuring recall and speed").done >= 1


@pytest.mark.parametrize("factory", [OURS, "HNSW16"])
def test_an_update_counts_what_is_new(tmp_path, factory):
    vectors = random_vectors(660)
    dataset = write_dataset(tmp_path, vectors[:600])
    folders = [OutputFolder.at(tmp_path).folder(name) for name in ("before", "after")]
    build_index(dataset, folders[0], IndexOptions(factory_string=factory))
    dataset = write_dataset(tmp_path, vectors)
    progress = RecordedProgress()
    index = VectorIndex.open(folders[0])
    update_index(index, dataset, folders[1], IndexOptions(progress=progress))
    progress.require_complete()
    assert progress.named("encoding" if factory == OURS else "adding").done == 60


def test_neighbors_that_tie_are_looked_for_in_a_step_of_their_own(tmp_path):
    vectors = np.repeat(random_vectors(3), 100, axis=0)
    dataset = write_dataset(tmp_path, vectors)
    progress = RecordedProgress()
    build_index(dataset, OutputFolder.at(tmp_path).folder("index"), IndexOptions(progress=progress))
    assert progress.named("finding neighbors that tie").done == 300


def test_a_library_caller_sees_nothing(tmp_path, capfd):
    dataset = write_dataset(tmp_path, random_vectors(50))
    build_index(dataset, OutputFolder.at(tmp_path).folder("index"), IndexOptions())
    with SILENT.step("anything", 3, "pictures") as step:
        step.advance(2, failed=1)
    SILENT.tell("nothing")
    assert capfd.readouterr() == ("", "")
