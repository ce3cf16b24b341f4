"""A listing, and what earlier runs have computed -> what stands, and what is still to compute.

A row stands when its file is listed with the size and the time of change that the row holds. Where the
size is the same and the time another, or one of them is not known, the file's content decides. So it is
with failures; one of a file that could not be read stands when nothing is known to have changed. What
stands is not computed again; what does not is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from index.embedding_dataset import PICTURE_SCHEMA, read_part
from index.errors import ArtifactDamaged
from index.manifest import VariantSettings
from index.output_folder import EMBEDDINGS, OutputFolder, variant_partition
from index.stored_file import StoredFile
from transforms.computed_rows import UNKNOWN, ComputedRows, StandingPart
from transforms.elements import Failure, FileReference
from transforms.embedded_task import EmbeddedTask
from transforms.model_inputs import microseconds
from transforms.work_threads import usable_cores

# Of files, by their URIs; None for one that cannot be read.
ContentHashes = Callable[[Sequence[str]], Sequence[str | None]]


@dataclass
class FinishedWork:
    """What stands of earlier work: take in its sources, rows first, the most trusted first.

    Attributes:
        files: as listed, ordered by URI, each once.
        variants: the names of those that every file is to have a row for.
        content_hashes: settles doubts.
        done: bool [files, variants]: there is a row, or a failure that stands.
        rows: bool [files, variants]: there is a row.
        parts: by the variant's name.
        failures: that stand.
        tasks: of chunks that are not complete: the name, the position of the first picture, and the
            variants of each.
        known: bool [files]: the finished embeddings have a row or a failure of the file.
        changed: bool [files]: it was of other content.
        gone_rows, gone_failures: URIs that they have something of, and that are not listed any more.
    """

    files: Sequence[FileReference]
    variants: Sequence[str]
    content_hashes: ContentHashes
    parts: dict[str, list[StandingPart]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    tasks: list[tuple[str, int, Sequence[str]]] = field(default_factory=list)
    gone_rows: set[str] = field(default_factory=set)
    gone_failures: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.done = np.zeros((len(self.files), len(self.variants)), bool)
        self.rows = self.done.copy()
        self.known = np.zeros(len(self.files), bool)
        self.changed = np.zeros(len(self.files), bool)
        self._uris = pa.array([file.uri for file in self.files], pa.string())
        sizes = [UNKNOWN if file.bytes is None else file.bytes for file in self.files]
        times = [_time(file.modified_s) for file in self.files]
        self._sizes = np.array([*sizes, UNKNOWN], np.int64)  # the last for what is not listed
        self._times = np.array([*times, UNKNOWN], np.int64)
        self._hashes: dict[int, str | None] = {}

    def take_rows(self, source: ComputedRows) -> None:
        """Keep the rows of a source that stand and that no source before it had."""
        for name, files in source.parts.items():
            settings, column = source.settings[name], self.variants.index(name)
            folder = source.folder.folder(EMBEDDINGS, variant_partition(name))
            read = self._read(folder, files, settings, source.published)
            if not read:
                continue
            table = pa.concat_tables([rows for _, rows in read])
            stands, modified, positions = self._judge(table)
            if source.published:
                listed = positions >= 0
                self.known[positions[listed]] = True
                self.changed[positions[listed & ~stands]] = True
                self.gone_rows.update(table.column("uri").filter(pa.array(~listed)).to_pylist())
            mine = np.flatnonzero(stands)
            mine = mine[~self.done[positions[mine], column]]
            first = np.unique(positions[mine], return_index=True)[1]
            taken = np.zeros(len(table), bool)
            taken[mine[first]] = True
            self.done[positions[taken], column] = self.rows[positions[taken], column] = True

            renewed = modified != _integers(table.column("modified"))
            start = 0
            for file, rows in read:
                here = slice(start, start + len(rows))
                start += len(rows)
                if not taken[here].any():
                    continue
                part = StandingPart(folder, file, settings)
                if not taken[here].all() or renewed[here].any():
                    kept = np.flatnonzero(taken[here])
                    part = StandingPart(folder, file, settings, kept, modified[here][kept])
                self.parts.setdefault(name, []).append(part)

    def take_failures(self, source: ComputedRows, *, retry: bool = False) -> None:
        """Keep the failures of a source that stand, unless their pictures are to be tried again."""
        positions = self._positions([failure.uri for failure in source.failures]).tolist()
        self._hash(
            [
                at
                for at, one in zip(positions, source.failures, strict=True)
                if at >= 0 and self._is_doubtful(one, at)
            ]
        )
        for failure, position in zip(source.failures, positions, strict=True):
            if position < 0:
                if source.published:
                    self.gone_failures.add(failure.uri)
                continue
            file = self.files[position]
            stands = _is_unchanged(failure, file) or (
                self._is_doubtful(failure, position)
                and self._hashes[position] == failure.content_hash
            )
            if source.published:
                self.known[position] = True
                self.changed[position] |= not stands
            if retry or not stands:
                continue
            columns = [
                column
                for column, name in enumerate(self.variants)
                if failure.variant in (None, name)
            ]
            if not self.done[position, columns].all():
                self.done[position, columns] = True
                modified_s = failure.modified_s if file.modified_s is None else file.modified_s
                self.failures.append(dataclasses.replace(failure, modified_s=modified_s))

    def as_they_are(self, failures: Iterable[Failure]) -> list[Failure]:
        """Failures said to be of all variants, but of the variants that have no row where some do."""
        told = []
        failures = list(failures)
        positions = self._positions([failure.uri for failure in failures]).tolist()
        for failure, position in zip(failures, positions, strict=True):
            if failure.variant is None and position >= 0 and self.rows[position].any():
                for name, has_row in zip(self.variants, self.rows[position], strict=True):
                    if not has_row:
                        told.append(dataclasses.replace(failure, variant=name))
            else:
                told.append(failure)
        return told

    def missing(self) -> Mapping[str, int]:
        """How many files lack a row of each variant that lacks some."""
        counts = (~self.done).sum(axis=0).tolist()
        return {name: count for name, count in zip(self.variants, counts, strict=True) if count}

    def take_task(self, name: str, task: EmbeddedTask) -> None:
        """Keep a task whose pictures are all unchanged and all without the very rows it has."""
        uris = task.pictures.column("uri").to_pylist() + [one.uri for one in task.failures]
        sizes = task.pictures.column("bytes").to_pylist() + [one.bytes for one in task.failures]
        times = _integers(task.pictures.column("modified")).tolist() + [
            _time(one.modified_s) for one in task.failures
        ]
        positions = self._positions(uris)
        if not uris or (positions < 0).any() or not set(task.vectors) <= set(self.variants):
            return
        missing = np.array([name in task.vectors for name in self.variants])
        stands = (
            (self._sizes[positions] == np.array(sizes))
            & (self._times[positions] == np.array(times))
            & (self.done[positions] != missing).all(axis=1)
        )
        if stands.all():
            self.done[positions] = True
            self.tasks.append((name, int(positions.min()), tuple(task.vectors)))

    def _read(
        self,
        folder: OutputFolder,
        files: Sequence[StoredFile],
        settings: VariantSettings,
        published: bool,
    ) -> list[tuple[StoredFile, pa.Table]]:
        """The rows of parts, without their vectors."""

        def read(file: StoredFile) -> pa.Table | None:
            try:
                return read_part(
                    folder, file, settings.space, settings.vector_type, PICTURE_SCHEMA.names
                ).replace_schema_metadata(None)
            except ArtifactDamaged:
                if published:
                    raise
                return None

        with ThreadPoolExecutor(usable_cores()) as threads:
            tables = list(threads.map(read, files))
        return [(file, table) for file, table in zip(files, tables, strict=True) if table]

    def _judge(
        self, table: pa.Table
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """Which rows stand, when their files were last changed, and the positions of the files."""
        positions = self._positions(table.column("uri"))
        listed = positions >= 0
        modified = _integers(table.column("modified"))
        sizes, times = self._sizes[positions], self._times[positions]
        same_size = sizes == _integers(table.column("bytes"))
        stands = listed & same_size & (times == modified) & (times != UNKNOWN)
        doubtful = np.flatnonzero(listed & ~stands & (same_size | (sizes == UNKNOWN)))
        self._hash(positions[doubtful].tolist())
        for row in doubtful.tolist():
            stored = table.column("content_hash")[row].as_py()
            stands[row] = self._hashes[int(positions[row])] == stored
        renewed = stands & (times != UNKNOWN)
        return stands, np.where(renewed, times, modified), positions

    def _hash(self, positions: Sequence[int]) -> None:
        """Find out the content of files, each once; read those of which it is not known."""
        wanted = sorted({position for position in positions if position not in self._hashes})
        self._hashes.update({position: self.files[position].content_hash for position in wanted})
        unread = [position for position in wanted if self._hashes[position] is None]
        hashes = self.content_hashes([self.files[position].uri for position in unread])
        self._hashes.update(zip(unread, hashes, strict=True))

    def _is_doubtful(self, failure: Failure, position: int) -> bool:
        file = self.files[position]
        may_be_same = failure.content_hash is not None and file.bytes in (None, failure.bytes)
        return may_be_same and not _is_unchanged(failure, file)

    def _positions(self, uris: Any) -> NDArray[np.int64]:
        """Where files stand in the listing; -1 where they do not."""
        array = pa.array(uris, pa.string()) if isinstance(uris, list) else uris
        found = pc.index_in(array, value_set=self._uris)
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        positions: NDArray[np.int64] = found.fill_null(-1).to_numpy().astype(np.int64)
        return positions


def _is_unchanged(failure: Failure, file: FileReference) -> bool:
    same_time = _time(file.modified_s) == _time(failure.modified_s)
    return file.bytes == failure.bytes and same_time


def _time(seconds: float | None) -> int:
    stored = microseconds(seconds)
    return UNKNOWN if stored is None else stored


def _integers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Sizes, or times in microseconds: int64 [rows], UNKNOWN where there is none."""
    integers: NDArray[np.int64] = column.cast(pa.int64()).fill_null(UNKNOWN).to_numpy()
    return integers
