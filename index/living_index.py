"""An index and its dataset, which went on -> the index of what the dataset holds now, ids kept."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator
from typing import Any, Final

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.builder import (
    WORK,
    IndexOptions,
    build_index,
    first_choice,
    tune_written,
    work_folder,
    write_faiss,
)
from index.dataset_rows import rows_of_pictures
from index.embedding_dataset import EmbeddingDataset
from index.errors import RunMismatch, UsageError
from index.factory_string import BATCH_ROWS, IndexChoice, IndexLayout
from index.index_changes import IndexChanges
from index.index_files import (
    INDEX_FILE,
    blank_quantizer,
    candidate_codes_of,
    codes_of,
    pieces_of,
    read_candidates,
    write_candidates,
    write_stored_vectors,
)
from index.index_rows import IndexRows
from index.manifest import IndexManifest
from index.output_folder import OutputFolder
from index.progress import Progress, counted
from index.recall import exact_neighbors, sample_queries
from index.search_parameters import can_select
from index.search_tuning import Tuned
from index.shards import Shard, candidate_codes, encode_batches, encode_shards, stored_codes
from index.unit_vectors import unit_vectors
from index.vector_index import VectorIndex
from index.written_index import WrittenIndex, publish_index

MOST_TOMBSTONES: Final = 0.2  # of the places of an index: above it, it is made anew
MOST_GROWTH: Final = 2.0  # times what it was trained on
MOST_CHANGED: Final = 0.1  # of what was measured: above it, recall is measured again


def update_index(
    index: VectorIndex, dataset: EmbeddingDataset, folder: OutputFolder, options: IndexOptions
) -> tuple[IndexManifest, IndexChanges]:
    """Write the index of what the dataset holds now into `folder`, an empty one.

    What was encoded is taken over, new pictures are encoded as it was trained, gone ones are left out; a
    type of index that cannot leave out keeps tombstones, which no row names. It is made anew, ids kept,
    where it has too many of those, or has outgrown its training.

    Args:
        index: the index as it stands.
        dataset: its dataset, with another digest.
        folder: to write into.
        options: its memory and how shards are encoded; type and recall are those of the index.

    Raises:
        RunMismatch: the dataset's vectors are of another module or other settings.
    """
    began = time.perf_counter()
    manifest = index.manifest
    if difference := manifest.settings.difference(dataset.record):
        fact, here, there = difference
        raise RunMismatch(
            f"the index holds vectors of {fact} {here!r}, the embeddings are of {fact} {there!r}; "
            "build it again with --overwrite"
        )
    asked = manifest.factory_string if manifest.asked_for else None
    options = dataclasses.replace(options, min_recall=manifest.min_recall, factory_string=asked)
    progress = options.progress
    with progress.step("comparing rows"):
        changes = IndexChanges.between(index, dataset)
        rows = changes.rows(index)
    layout = IndexLayout.parse(manifest.factory_string)
    places = len(dataset)
    if layout is None:
        places = index.files.searched.ntotal + changes.new.num_rows
    written: WrittenIndex | None = None
    rebuild = _outgrown(index, dataset, changes, options)
    if rebuild is None and layout is not None:
        written = _take_over(index, dataset, changes, folder, layout, progress)
    elif rebuild is None:
        written, rows = _add_to(index, dataset, changes, folder, rows, progress)
        if written is None:
            rebuild = "this type cannot take over what has changed"
    if written is not None:
        changed = manifest.changed_since + changes.gone + changes.new.num_rows
        counts: dict[str, Any] = {
            "queries": manifest.queries,
            "measured_count": manifest.measured_count,
            "changed_since": changed,
        }
        if changed > MOST_CHANGED * manifest.measured_count and len(dataset) > 1:
            with progress.step("sampling queries"):
                queries = sample_queries(dataset)
            exact = exact_neighbors(dataset, queries, progress)
            dataset_rows = _dataset_rows(dataset, rows, places)
            written = tune_written(
                folder,
                written,
                exact,
                dataset_rows,
                min_recall=manifest.min_recall,
                progress=progress,
            )
            counts = {"queries": len(exact.queries.ids), "measured_count": len(dataset)}
            if written.tuned and not written.tuned.reached and not manifest.asked_for:
                rebuild = "it no longer reaches its recall"
    if rebuild is not None or written is None:
        progress.tell(f"made anew: {rebuild}")
        return _make_anew(dataset, folder, options, rows.in_dataset_order()), changes
    with progress.step("writing rows"):
        return publish_index(
            dataset,
            folder,
            written,
            rows,
            began=began,
            figures={
                **counts,
                "min_recall": manifest.min_recall,
                "trained_count": manifest.trained_count,
                "tombstones": places - len(dataset),
            },
        ), changes


def _make_anew(
    dataset: EmbeddingDataset, folder: OutputFolder, options: IndexOptions, rows: IndexRows
) -> IndexManifest:
    """An index of the type that was asked for, where as many vectors as are left can train it."""
    asked = options.factory_string
    if asked is not None and IndexLayout.parse(asked) is None:
        options = dataclasses.replace(options, encode=encode_shards)  # is filled in this process
    try:
        return build_index(dataset, folder, options, rows)
    except UsageError as error:
        if asked is None:
            raise
        options.progress.tell(str(error))
        return build_index(dataset, folder, dataclasses.replace(options, factory_string=None), rows)


def _dataset_rows(dataset: EmbeddingDataset, rows: IndexRows, places: int) -> NDArray[np.int64]:
    """The dataset's row at each place of the index, -1 at tombstones: int64 [places]."""
    found = np.full(places, -1, np.int64)
    found[rows.table.column("position").to_numpy()] = rows_of_pictures(dataset, rows.table)
    return found


def _outgrown(
    index: VectorIndex, dataset: EmbeddingDataset, changes: IndexChanges, options: IndexOptions
) -> str | None:
    """Why an index is better made anew; None where it is not."""
    manifest = index.manifest
    layout = IndexLayout.parse(manifest.factory_string)
    if not len(changes.kept):
        return "none of its pictures are left"
    if layout is not None and not layout.learns:
        then, now = (
            first_choice(count, dataset.space.num_features, options)
            for count in (manifest.trained_count, len(dataset))
        )
        return now.reason if then.factory_string == "Flat" != now.factory_string else None
    if len(dataset) > MOST_GROWTH * manifest.trained_count:
        return f"it was trained on {manifest.trained_count:,} vectors, there are {len(dataset):,}"
    if layout is not None and layout.candidates and not layout.candidates.in_memory:
        return "its lists are on the disk"
    return None


def _take_over(
    index: VectorIndex,
    dataset: EmbeddingDataset,
    changes: IndexChanges,
    folder: OutputFolder,
    layout: IndexLayout,
    progress: Progress,
) -> WrittenIndex:
    """One of our layouts: the codes that are there, without those of gone rows, and the new ones."""
    manifest = index.manifest
    standing = read_candidates(index.folder, layout)
    quantizer = blank_quantizer(index.files.stored, standing)
    work = work_folder(folder)
    new = Shard(0, ())
    with progress.step("encoding", changes.new.num_rows, "vectors") as step:
        vectors = counted(_new_vectors(dataset, changes.new), step.advance)
        encode_batches(vectors, new, quantizer, work)
    old = codes_of(index.folder, index.files.stored, manifest.count)
    both = itertools.chain(pieces_of(old, changes.kept), stored_codes([new], quantizer, work))
    with progress.step("writing vectors", len(dataset), "vectors") as step:
        pieces = counted(both, step.advance)
        stored = write_stored_vectors(folder, quantizer.stored, pieces, len(dataset))
    candidates = None
    if standing is not None:
        with progress.step("writing candidates", len(dataset), "vectors") as step:
            kept = candidate_codes_of(standing)[changes.kept]
            both = itertools.chain([kept], candidate_codes([new], quantizer, work))
            pieces = counted(both, step.advance)
            candidates = write_candidates(folder, quantizer.candidates, pieces)
    folder.delete(WORK)
    return _as_measured(manifest, WrittenIndex(_choice(manifest), stored, candidates))


def _add_to(
    index: VectorIndex,
    dataset: EmbeddingDataset,
    changes: IndexChanges,
    folder: OutputFolder,
    rows: IndexRows,
    progress: Progress,
) -> tuple[WrittenIndex | None, IndexRows]:
    """Another type of FAISS's: new vectors are added, places of gone rows stay as tombstones."""
    whole = faiss.read_index(index.folder.path(INDEX_FILE))  # the mapped one cannot grow
    places = whole.ntotal + changes.new.num_rows
    gone = places - len(dataset)
    if gone and (gone > MOST_TOMBSTONES * places or not can_select(whole)):
        return None, rows
    standing = index.positions[changes.kept]
    positions = np.concatenate([standing, np.arange(whole.ntotal, places)])
    try:
        with progress.step("adding", changes.new.num_rows, "vectors") as step:
            for vectors in counted(_new_vectors(dataset, changes.new), step.advance):
                whole.add(unit_vectors(vectors))
    except RuntimeError:  # a type that is complete once it is built
        return None, rows
    written = WrittenIndex(_choice(index.manifest), write_faiss(folder, whole))
    table = rows.table.set_column(1, "position", pa.array(positions))
    return _as_measured(index.manifest, written), dataclasses.replace(rows, table=table)


def _choice(manifest: IndexManifest) -> IndexChoice:
    return IndexChoice(manifest.factory_string, manifest.reason, manifest.asked_for)


def _as_measured(manifest: IndexManifest, written: WrittenIndex) -> WrittenIndex:
    """With the setting and the figures that were measured before."""
    if manifest.measured is None:
        return written
    tuned = Tuned(manifest.measured, reached=True, tried=manifest.tried)
    return dataclasses.replace(written, tuned=tuned)


def _new_vectors(dataset: EmbeddingDataset, new: pa.Table) -> Iterator[NDArray[np.float32]]:
    """The stored vectors of new pictures, in their order, in batches float32 [rows, dim]."""
    parts, rows = new.column("part").to_numpy(), new.column("row").to_numpy()
    for part in np.unique(parts).tolist():
        wanted = rows[parts == part]
        start = 0
        for batch in dataset.batches(BATCH_ROWS, parts=[part]):
            mine = wanted[(wanted >= start) & (wanted < start + len(batch))] - start
            if len(mine):
                yield batch.vectors[mine]
            start += len(batch)
