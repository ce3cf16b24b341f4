"""Rows that earlier runs have computed, where they are: all of a part, or those that stand of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.embedding_dataset import PICTURE_SCHEMA, encode_part, read_part, store_part, vectors_of
from index.manifest import EmbeddingsManifest, VariantSettings
from index.output_folder import OutputFolder
from index.publishing import PART
from index.stored_file import StoredFile
from transforms.attempt import Attempt
from transforms.dead_letters import read_dead_letters
from transforms.elements import Failure

UNKNOWN: Final = np.iinfo(np.int64).min  # a size or a time that nobody knows
SMALL_ROWS: Final = 64
MOST_SMALL: Final = 32
JOINED_ROWS: Final = 256
JOINED_PARTS: Final = 1024  # in memory at once


@dataclass(frozen=True)
class ComputedRows:
    """Rows that an earlier run has computed, and the pictures that it could not use.

    Attributes:
        folder: that holds embeddings/.
        settings: by the variant's name.
        parts: by the variant's name.
        failures: in any order.
        published: whether a damaged part is an error, not just work to be done again.
    """

    folder: OutputFolder
    settings: Mapping[str, VariantSettings]
    parts: Mapping[str, Sequence[StoredFile]]
    failures: Sequence[Failure] = ()
    published: bool = False

    @classmethod
    def of_output(cls, output: OutputFolder, manifest: EmbeddingsManifest) -> ComputedRows:
        """What is published in an output."""
        return cls(
            folder=output,
            settings=manifest.variants,
            parts={name: record.parts for name, record in manifest.variants.items()},
            failures=read_dead_letters(output, manifest.failure_files),
            published=True,
        )

    @classmethod
    def of_attempt(cls, attempt: Attempt, settings: Mapping[str, VariantSettings]) -> ComputedRows:
        """The chunks that an attempt has completed."""
        records = attempt.records()
        parts = {
            name: [record.parts[name] for record in records if name in record.parts]
            for name in settings
        }
        failures = [failure for record in records for failure in record.failures]
        return cls(attempt.folder, settings, parts, failures)


@dataclass(frozen=True)
class StandingPart:
    """A part of which some rows stand.

    Attributes:
        folder: that the part is in.
        file: the part.
        settings: of its variant.
        rows: int64, those that stand, in their order; None for all, as they are.
        modified: int64 microseconds, when their files were last changed; None with `rows`.
    """

    folder: OutputFolder
    file: StoredFile
    settings: VariantSettings
    rows: NDArray[np.int64] | None = None
    modified: NDArray[np.int64] | None = None

    def table(self) -> pa.Table:
        """The rows that stand: PICTURE_SCHEMA and `embedding`."""
        space, vector_type = self.settings.space, self.settings.vector_type
        table = read_part(self.folder, self.file, space, vector_type)
        if self.rows is None:
            return table
        times = pa.array(self.modified, pa.int64(), mask=self.modified == UNKNOWN)
        place = PICTURE_SCHEMA.get_field_index("modified")
        column = times.cast(PICTURE_SCHEMA.field(place).type)
        return table.take(pa.array(self.rows)).set_column(
            place, PICTURE_SCHEMA.field(place), column
        )

    def __len__(self) -> int:
        return (self.file.rows or 0) if self.rows is None else len(self.rows)


def settle_parts(parts: Sequence[StandingPart], folder: OutputFolder) -> tuple[StoredFile, ...]:
    """The files that hold the rows of parts, in the order of their names; what is new is below `folder`.

    Parts of which all rows stand are taken as they are. Where more than MOST_SMALL have few rows, as
    after many small updates, those are joined, in the order of their URIs.
    """
    ordered = sorted(parts, key=lambda part: part.file.name)
    small = [part for part in ordered if len(part) <= SMALL_ROWS]
    joined = small if len(small) > MOST_SMALL else []
    settled = []
    for part in ordered:
        if joined and len(part) <= SMALL_ROWS:
            continue
        is_whole = part.rows is None
        settled.append(part.file if is_whole else _write(part.table(), part, folder))
    for start in range(0, len(joined), JOINED_PARTS):
        some = joined[start : start + JOINED_PARTS]
        table = pa.concat_tables([part.table() for part in some]).sort_by("uri")
        for row in range(0, len(table), JOINED_ROWS):
            settled.append(_write(table.slice(row, JOINED_ROWS), some[0], folder))
    return tuple(sorted(settled, key=lambda file: file.name))


def _write(table: pa.Table, like: StandingPart, folder: OutputFolder) -> StoredFile:
    """A part of these rows, numbered as another."""
    space, vector_type = like.settings.space, like.settings.vector_type
    pictures = table.select(PICTURE_SCHEMA.names)
    data = encode_part(pictures, vectors_of(table.column("embedding")), space, vector_type)
    stem = PART + like.file.name.removeprefix(PART).partition(".")[0].partition("-")[0]
    return store_part(folder, space.variant, stem, data, rows=len(table))
