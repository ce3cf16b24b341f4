"""A dataset -> an index folder: train on a sample, encode shard by shard, tune, write."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Final

import faiss
import numpy as np
from numpy.typing import NDArray

from index.embedding_dataset import EmbeddingDataset
from index.errors import OutputMissing, UsageError, last_line
from index.factory_string import (
    IndexChoice,
    IndexLayout,
    choose_factory_string,
    harder_choice,
    require_memory,
)
from index.index_files import (
    CANDIDATES_FILE,
    INDEX_FILE,
    LISTS_FILE,
    IndexFiles,
    write_candidates,
    write_candidates_on_disk,
    write_stored_vectors,
)
from index.index_rows import IndexRows, fresh_rows
from index.manifest import IndexManifest
from index.output_folder import OutputFolder
from index.progress import SILENT, Progress, counted
from index.quantizer import Quantizer
from index.recall import ExactNeighbors, exact_neighbors, sample_queries
from index.search_tuning import SearchTuning
from index.shards import (
    EncodeShards,
    candidate_codes,
    encode_shards,
    plan_shards,
    stored_codes,
    write_quantizer,
)
from index.stored_file import MappedFile
from index.training_sample import training_sample
from index.unit_vectors import unit_vectors
from index.written_index import WrittenIndex, publish_index

WORK: Final = ".work"  # of a build, below the folder it fills


@dataclass(frozen=True)
class IndexOptions:
    """What an index is built for.

    Attributes:
        max_bytes: memory that building and searching may take.
        min_recall: the recall@10 its search settings are tuned to reach.
        factory_string: overrides the choice of index type.
        encode: encodes the shards of the dataset, wherever that is done.
        progress: who shows what is being done, and how far it is.
    """

    max_bytes: int = 4 << 30
    min_recall: float = 0.95
    factory_string: str | None = None
    encode: EncodeShards = encode_shards
    progress: Progress = SILENT


def build_index(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    options: IndexOptions,
    rows: IndexRows | None = None,
) -> IndexManifest:
    """Write the files of an index and, last, manifest.json into `folder`.

    Args:
        dataset: at least one vector.
        folder: empty, or not there yet.
        options: what it is built for.
        rows: the rows of the dataset with the ids that they have, where an index is made anew.
    """
    began = time.perf_counter()
    if len(dataset) == 0:
        raise OutputMissing(f"{dataset.folder.root} holds no vectors: there is nothing to index")
    dim = dataset.space.num_features
    choice = first_choice(len(dataset), dim, options)
    options.progress.tell(f"{choice.factory_string}: {choice.reason}")
    exact = None
    if len(dataset) > 1:
        with options.progress.step("sampling queries"):
            queries = sample_queries(dataset)
        exact = exact_neighbors(dataset, queries, options.progress)
    written = _build(dataset, folder, choice, options, exact)
    while written.tuned and not written.tuned.reached and options.factory_string is None:
        harder = harder_choice(
            written.choice.factory_string, len(dataset), dim, max_bytes=options.max_bytes
        )
        if harder is None:
            break
        options.progress.tell(f"{harder.factory_string}: {harder.reason}")
        written = _build(dataset, folder, harder, options, exact)
    with options.progress.step("writing rows"):
        return publish_index(
            dataset,
            folder,
            written,
            fresh_rows(dataset) if rows is None else rows,
            began=began,
            figures={
                "min_recall": options.min_recall,
                "queries": 0 if exact is None else len(exact.queries.ids),
                "trained_count": len(dataset),
                "measured_count": len(dataset),
            },
        )


def first_choice(count: int, dim: int, options: IndexOptions) -> IndexChoice:
    """The type of index that is asked for, or chosen."""
    if options.factory_string is not None:
        require_memory(count, dim, options.max_bytes)
        return IndexChoice(options.factory_string, "asked for", asked_for=True)
    return choose_factory_string(
        count, dim, max_bytes=options.max_bytes, min_recall=options.min_recall
    )


def _build(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    choice: IndexChoice,
    options: IndexOptions,
    exact: ExactNeighbors | None,
) -> WrittenIndex:
    """The FAISS files of one index type, measured."""
    for name in (INDEX_FILE, CANDIDATES_FILE, LISTS_FILE):  # what an easier type has left
        folder.delete(name)
    layout = IndexLayout.parse(choice.factory_string)
    apart = np.empty(0, np.int64) if exact is None else exact.queries.ids
    try:
        if layout is None:
            written = _write_another_type(dataset, folder, choice, options, apart)
        else:
            written = _write_coded(dataset, folder, choice, layout, options, apart)
        if exact is None:
            return written
        return tune_written(
            folder, written, exact, None, min_recall=options.min_recall, progress=options.progress
        )
    except RuntimeError as error:
        raise UsageError(
            f"FAISS cannot build {choice.factory_string!r} from {len(dataset):,} vectors of width "
            f"{dataset.space.num_features}: {last_line(error)}"
        ) from error


def tune_written(
    folder: OutputFolder,
    written: WrittenIndex,
    exact: ExactNeighbors,
    dataset_rows: NDArray[np.int64] | None,
    *,
    min_recall: float,
    progress: Progress = SILENT,
) -> WrittenIndex:
    """The same index with the search setting that reaches the recall."""
    layout = IndexLayout.parse(written.choice.factory_string)
    with progress.step("measuring recall and speed", unit="settings") as step:
        files = IndexFiles.open(folder, layout)
        tuning = SearchTuning(files.searched, exact, dataset_rows, min_recall, step.advance)
        tuned = tuning.tune(layout)
    return dataclasses.replace(written, tuned=tuned)


def _write_coded(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    choice: IndexChoice,
    layout: IndexLayout,
    options: IndexOptions,
    apart: NDArray[np.int64],
) -> WrittenIndex:
    """One of our layouts, never more than a batch of vectors and the candidates in memory."""
    dim = dataset.space.num_features
    if layout.candidates is not None and layout.candidates.width > dim:
        raise UsageError(
            f"--factory {choice.factory_string!r} asks for {layout.candidates.width} components of "
            f"vectors of width {dim}"
        )
    progress, count = options.progress, len(dataset)
    work = work_folder(folder)
    with progress.step("training" if layout.learns else "preparing"):
        sample = training_sample(dataset, options.max_bytes if layout.learns else 0, apart)
        quantizer = Quantizer.train(layout, sample)
        write_quantizer(quantizer, work)
    shards = plan_shards(dataset)
    with progress.step("encoding", count, "vectors") as step:
        options.encode(dataset, shards, work, step)
    with progress.step("writing vectors", count, "vectors") as step:
        codes = counted(stored_codes(shards, quantizer, work), step.advance)
        stored = write_stored_vectors(folder, quantizer.stored, codes, count)
    candidates, lists = None, None
    if layout.candidates is not None:
        with progress.step("writing candidates", count, "vectors") as step:
            codes = counted(candidate_codes(shards, quantizer, work), step.advance)
            if layout.candidates.in_memory:
                candidates = write_candidates(folder, quantizer.candidates, codes)
            else:
                candidates, lists = write_candidates_on_disk(
                    folder, quantizer.candidates, codes, work
                )
    folder.delete(WORK)
    return WrittenIndex(choice, stored, candidates, lists)


def work_folder(folder: OutputFolder) -> OutputFolder:
    """An empty folder below one that is being filled; it is removed before that is published."""
    folder.delete(WORK)
    work = folder.folder(WORK)
    work.filesystem.create_dir(work.root, recursive=True)
    return work


def _write_another_type(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    choice: IndexChoice,
    options: IndexOptions,
    apart: NDArray[np.int64],
) -> WrittenIndex:
    """Any type that FAISS has, filled in memory."""
    if options.encode is not encode_shards:
        raise UsageError(
            f"--factory {choice.factory_string!r} is not built by several workers; types are that end "
            "in Refine(SQ8) or Refine(SQfp16), or leave the choice to us"
        )
    dim = dataset.space.num_features
    index = faiss.index_factory(dim, choice.factory_string, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        with options.progress.step("training"):
            index.train(training_sample(dataset, options.max_bytes, apart))
    with options.progress.step("adding", len(dataset), "vectors") as step:
        for batch in dataset.batches():
            index.add(unit_vectors(batch.vectors))
            step.advance(len(batch))
    return WrittenIndex(choice, write_faiss(folder, index))


def write_faiss(folder: OutputFolder, index: object) -> MappedFile:
    """A FAISS index of another type, as its own file."""
    folder.filesystem.create_dir(folder.root, recursive=True)
    faiss.write_index(index, folder.path(INDEX_FILE))
    return MappedFile.of_standing(folder, INDEX_FILE)
