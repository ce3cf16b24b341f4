"""OUT/duplicates or OUT/leaks of a variant -> its groups, a few at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.duplicates_manifest import DuplicatesManifest
from index.duplicates_report import copy_facts
from index.errors import OutputMissing
from index.groups_table import decode_groups
from index.output_folder import OutputFolder

MEMBER_COLUMNS: Final = (
    "uri",
    "keep",
    "remove",
    "held_back",
    "score",
    "kind",
    "agreement",
    "change",
    "width",
    "height",
    "bytes",
)


@dataclass(frozen=True, eq=False)
class ServedGroups:
    """One search for copies.

    Attributes:
        facts: what it came to, by the names users see.
        members: of all groups, those of one after the other.
        starts: int64 [groups + 1], where each group begins among the members.
    """

    facts: Mapping[str, str]
    members: pa.Table
    starts: NDArray[np.int64]

    @classmethod
    def open(cls, folder: OutputFolder) -> ServedGroups | None:
        """Read what was found; None where nobody searched."""
        try:
            manifest = DuplicatesManifest.read(folder)
        except OutputMissing:
            return None
        table = decode_groups(manifest.groups_file.read_from(folder))
        numbers = table.column("group").to_numpy()
        begins = np.flatnonzero(np.diff(numbers, prepend=-1))
        starts = np.append(begins, len(numbers)).astype(np.int64)
        members = table.select(["group", *MEMBER_COLUMNS]).combine_chunks()
        return cls(copy_facts(manifest), members, starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def some(self, offset: int, limit: int) -> list[list[dict[str, Any]]]:
        """The members of some groups, the kept one of each first."""
        last = min(offset + limit, len(self))
        bounds = [
            (int(self.starts[place]), int(self.starts[place + 1])) for place in range(offset, last)
        ]
        return [self.members.slice(start, end - start).to_pylist() for start, end in bounds]
