"""A dataset -> an index folder: train on a sample, encode shard by shard, tune, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.embedding_dataset import EmbeddingDataset
from index.errors import OutputMissing, UsageError, last_line
from index.factory_string import IndexChoice, IndexLayout, choose_factory_string, harder_choice
from index.index_files import (
    INDEX_FILE,
    IndexFiles,
    write_candidates,
    write_candidates_on_disk,
    write_stored_vectors,
)
from index.index_report import index_report
from index.index_rows import ROWS_FILE, encode_rows, fresh_rows
from index.manifest import IndexManifest, VariantSettings
from index.output_folder import OutputFolder
from index.quantizer import TRAINING_ROWS, Quantizer
from index.recall import (
    ExactNeighbors,
    exact_neighbors,
    part_starts,
    sample_queries,
    sample_rows,
)
from index.search_tuning import SearchTuning, Tuned
from index.shards import (
    EncodeShards,
    candidate_codes,
    encode_shards,
    plan_shards,
    stored_codes,
    write_quantizer,
)
from index.stored_file import MappedFile
from index.unit_vectors import unit_vectors

WORK: Final = ".work"  # of a build, below the folder it fills
REPORT_FILE: Final = "report.html"
MOST_QUERIES: Final = 0.5  # of the rows that could be learnt from
TRAINING_SHARE: Final = 4  # the training sample takes at most this part of the memory


@dataclass(frozen=True)
class IndexOptions:
    """What an index is built for.

    Attributes:
        max_bytes: memory that building and searching may take.
        min_recall: the recall@10 its search settings are tuned to reach.
        factory_string: overrides the choice of index type.
        encode: encodes the shards of the dataset, wherever that is done.
        told: is told in a line what is being done.
    """

    max_bytes: int = 4 << 30
    min_recall: float = 0.95
    factory_string: str | None = None
    encode: EncodeShards = encode_shards
    told: Callable[[str], None] = field(default=lambda line: None)


@dataclass(frozen=True)
class WrittenIndex:
    """The FAISS files of an index, and how well it searches.

    Attributes:
        choice: its type.
        index_file: the stored vectors.
        candidates_file: what proposes candidates.
        lists_file: its lists, where they stay on the disk.
        tuned: None where there are fewer than two vectors.
    """

    choice: IndexChoice
    index_file: MappedFile
    candidates_file: MappedFile | None = None
    lists_file: MappedFile | None = None
    tuned: Tuned | None = None


def build_index(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    options: IndexOptions,
    rows: pa.Table | None = None,
) -> IndexManifest:
    """Write the files of an index and, last, manifest.json into `folder`.

    Args:
        dataset: at least one vector.
        folder: empty, or not there yet.
        options: what it is built for.
        rows: `fresh_rows` of the dataset with other ids, where an index is made anew.
    """
    began = time.perf_counter()
    if len(dataset) == 0:
        raise OutputMissing(f"{dataset.folder.root} holds no vectors: there is nothing to index")
    choice = first_choice(len(dataset), dataset.space.num_features, options)
    options.told(f"{choice.factory_string}: {choice.reason}")
    exact = None
    if len(dataset) > 1:
        options.told("finding true neighbors, to measure with")
        exact = exact_neighbors(dataset, sample_queries(dataset))
    written = _build(dataset, folder, choice, options, exact)
    while written.tuned and not written.tuned.reached and options.factory_string is None:
        harder = harder_choice(written.choice.factory_string)
        if harder is None:
            break
        options.told(f"{harder.factory_string}: {harder.reason}")
        written = _build(dataset, folder, harder, options, exact)
    renumbered = rows is not None
    rows = fresh_rows(dataset) if rows is None else rows
    count = len(dataset)
    return publish_index(
        dataset,
        folder,
        written,
        rows,
        began=began,
        changes={
            "min_recall": options.min_recall,
            "queries": 0 if exact is None else len(exact.queries.ids),
            "trained_count": count,
            "measured_count": count,
            "next_id": int(rows.column("id").to_numpy().max()) + 1,
            "updates": int(renumbered),
        },
    )


def first_choice(count: int, dim: int, options: IndexOptions) -> IndexChoice:
    """The type of index that is asked for, or chosen."""
    if options.factory_string is not None:
        return IndexChoice(options.factory_string, "asked for", asked_for=True)
    return choose_factory_string(
        count, dim, max_bytes=options.max_bytes, min_recall=options.min_recall
    )


def publish_index(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    written: WrittenIndex,
    rows: pa.Table,
    *,
    began: float,
    changes: dict[str, object],
) -> IndexManifest:
    """Write what stands beside the FAISS files of a staged index, its manifest last."""
    record = dataset.record
    tuned = written.tuned
    rows_file = MappedFile.write(folder, ROWS_FILE, [memoryview(encode_rows(rows, record.space))])
    manifest = IndexManifest.model_validate(
        {
            "settings": VariantSettings.model_validate(
                {name: getattr(record, name) for name in VariantSettings.model_fields}
            ),
            "embeddings": record.digest,
            "parts": tuple(part.sha256 for part in record.parts),
            "factory_string": written.choice.factory_string,
            "reason": written.choice.reason,
            "asked_for": written.choice.asked_for,
            "search_parameters": tuned.chosen.parameters if tuned else {},
            "measured": tuned.chosen if tuned else None,
            "tried": tuned.tried if tuned else (),
            "count": len(dataset),
            "build_seconds": round(time.perf_counter() - began, 3),
            "index_file": written.index_file,
            "candidates_file": written.candidates_file,
            "lists_file": written.lists_file,
            "rows_file": rows_file,
            "report_file": MappedFile(name=REPORT_FILE, size=0, xxh3=""),
            **changes,
        }
    )
    page = index_report(manifest).encode()
    report_file = MappedFile.write(folder, REPORT_FILE, [page])
    manifest = manifest.model_copy(update={"report_file": report_file})
    manifest.write(folder)
    return manifest


def _build(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    choice: IndexChoice,
    options: IndexOptions,
    exact: ExactNeighbors | None,
) -> WrittenIndex:
    """The FAISS files of one index type, measured."""
    layout = IndexLayout.parse(choice.factory_string)
    apart = np.empty(0, np.int64) if exact is None else exact.queries.ids
    try:
        if layout is None:
            written = _write_another_type(dataset, folder, choice, options, apart)
        else:
            written = _write_coded(dataset, folder, choice, layout, options, apart)
        if exact is None:
            return written
        options.told("measuring recall and speed")
        return tune_written(folder, written, exact, None, options.min_recall)
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
    min_recall: float,
) -> WrittenIndex:
    """The same index with the search setting that reaches the recall."""
    layout = IndexLayout.parse(written.choice.factory_string)
    files = IndexFiles.open(folder, layout)
    tuned = SearchTuning(files.searched, exact, dataset_rows, min_recall).tune(layout)
    return WrittenIndex(
        written.choice, written.index_file, written.candidates_file, written.lists_file, tuned
    )


def _write_coded(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    choice: IndexChoice,
    layout: IndexLayout,
    options: IndexOptions,
    apart: NDArray[np.int64],
) -> WrittenIndex:
    """One of our layouts, never more than a batch of vectors and the candidates in memory."""
    work = work_folder(folder)
    sample = training_sample(dataset, options.max_bytes if layout.learns else 0, apart)
    if layout.learns:
        options.told(f"training on {len(sample):,} vectors")
    quantizer = Quantizer.train(layout, sample)
    write_quantizer(quantizer, work)
    shards = plan_shards(dataset)
    options.told(f"encoding {len(dataset):,} vectors in {len(shards)} shards")
    options.encode(dataset, shards, work)
    stored = write_stored_vectors(
        folder, quantizer.stored, stored_codes(shards, quantizer, work), len(dataset)
    )
    candidates, lists = None, None
    if layout.candidates is not None:
        codes = candidate_codes(shards, quantizer, work)
        if layout.candidates.in_memory:
            candidates = write_candidates(folder, quantizer.candidates, codes)
        else:
            candidates, lists = write_candidates_on_disk(folder, quantizer.candidates, codes, work)
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
        index.train(training_sample(dataset, options.max_bytes, apart))
    for batch in dataset.batches():
        index.add(unit_vectors(batch.vectors))
    return WrittenIndex(choice, write_faiss(folder, index))


def write_faiss(folder: OutputFolder, index: object) -> MappedFile:
    """A FAISS index of another type, as its own file."""
    folder.filesystem.create_dir(folder.root, recursive=True)
    faiss.write_index(index, folder.path(INDEX_FILE))
    return MappedFile.of_standing(folder, INDEX_FILE)


def training_sample(
    dataset: EmbeddingDataset, max_bytes: int, apart: NDArray[np.int64]
) -> NDArray[np.float32]:
    """A seeded sample of unit vectors: float32 [at most TRAINING_ROWS, dim].

    Of a dataset of many parts only some are read, drawn at random, four times what is needed. The rows
    `apart` are what recall is measured with: learnt from, they would be found better than others, so
    they are taken only where most rows are among them.
    """
    dim = dataset.space.num_features
    wanted = max(1024, min(TRAINING_ROWS, max_bytes // TRAINING_SHARE // (dim * 4)))
    sizes = np.array([part.rows or 0 for part in dataset.record.parts])
    drawn = np.random.default_rng(1).permutation(len(sizes))
    enough = int(np.searchsorted(np.cumsum(sizes[drawn]), 4 * wanted)) + 1
    chosen = np.sort(drawn[:enough])
    starts = part_starts(dataset)
    rows = np.concatenate([starts[part] + np.arange(sizes[part]) for part in chosen])
    others = np.setdiff1d(rows, apart)
    rows = sample_rows(others if len(others) >= MOST_QUERIES * len(rows) else rows, wanted, seed=1)
    parts = np.searchsorted(starts, rows, side="right") - 1
    vectors = dataset.vectors_at(parts.astype(np.int32), (rows - starts[parts]).astype(np.int32))
    return unit_vectors(vectors)
