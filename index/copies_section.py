"""What a search for copies left in an output -> a section of a page, with its first groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from index.duplicate_groups import Duplicate, DuplicateGroup
from index.duplicates_manifest import DuplicatesManifest
from index.duplicates_report import PROOFS, Thumbnail, copy_facts, group_row
from index.errors import ArtifactDamaged, first_line
from index.groups_table import GROUP_SCHEMA, decode_groups
from index.html_report import Section
from index.output_folder import OutputFolder

SHOWN_GROUPS: Final = 12
SHOWN_MEMBERS: Final = 4  # beside the kept one: a line on a wide screen


@dataclass(frozen=True)
class FoundCopies:
    """A finished search for copies.

    Attributes:
        manifest: what was asked and found.
        table: its groups: GROUP_SCHEMA, and facts of each picture.
    """

    manifest: DuplicatesManifest
    table: pa.Table

    @classmethod
    def read(cls, folder: OutputFolder) -> FoundCopies:
        """What stands in a folder.

        Raises:
            OutputMissing: no search was made.
            ArtifactDamaged: a file is not what was written.
        """
        manifest = DuplicatesManifest.read(folder)
        data = manifest.groups_file.read_from(folder)
        try:
            table = decode_groups(data)
        except (pa.ArrowException, OSError) as error:
            place = folder.path(manifest.groups_file.name)
            raise ArtifactDamaged(f"{place} is no Parquet: {first_line(error)}") from error
        missing = set(GROUP_SCHEMA.names) - set(table.column_names)
        if missing:
            place = folder.path(manifest.groups_file.name)
            raise ArtifactDamaged(
                f"{place} has no columns {', '.join(sorted(missing))}; make it again with: lookalike "
                "dedup --overwrite"
            )
        return cls(manifest, table)

    def is_kept(self) -> dict[str, bool]:
        """For each member of a group, whether it is the one to keep."""
        columns = (self.table.column(name).to_pylist() for name in ("uri", "keep"))
        return dict(zip(*columns, strict=True))

    def shown_uris(self) -> list[str]:
        """The pictures of the groups that a section shows."""
        groups, pictures = self.first_groups()
        uris = pictures.column("uri").to_pylist()
        shown = ((one.keep, *(twin.picture for twin in one.duplicates)) for one in groups)
        return [uris[at] for rows in shown for at in rows[: SHOWN_MEMBERS + 1]]

    def first_groups(self, count: int = SHOWN_GROUPS) -> tuple[list[DuplicateGroup], pa.Table]:
        """The groups with the most doubtful members, as the pages have them, and their pictures."""
        others = self.table.filter(pc.invert(self.table.column("keep")))
        value = pc.coalesce(others.column("agreement"), others.column("score"))
        proof = pc.index_in(others.column("proof"), value_set=pa.array(PROOFS))
        direct = pc.equal(others.column("evidence"), "direct")
        keys = [others.column("group"), value, direct, proof]  # the last one decides first
        ordered = np.lexsort([column.to_numpy(zero_copy_only=False) for column in keys])
        numbers = others.column("group").to_numpy()[ordered]
        first = np.sort(np.unique(numbers, return_index=True)[1])[:count]
        chosen = numbers[first].tolist()
        pictures = self.table.filter(
            pc.is_in(self.table.column("group"), value_set=pa.array(chosen, pa.int64()))
        )
        rows = pictures.to_pylist()
        return [_group(rows, number) for number in chosen], pictures


def copies_section(
    heading: str, found: FoundCopies, place: str, thumbnail: Thumbnail, again: str
) -> Section:
    """The facts, and the first groups.

    Args:
        heading: of the section.
        found: what was found.
        place: a link to the first of its pages.
        thumbnail: a data: URI for the picture at a URI; None where it cannot be shown.
        again: the command that makes it again, where the embeddings have changed since.
    """
    groups, pictures = found.first_groups()
    note = (
        "No copies were found."
        if not groups
        else (
            "The framed picture of each group is the one to keep. Under each other stands what it is, "
            "its cosine to the kept one, and how much of what both show agrees. Nothing was touched. "
        )
    )
    if groups:
        total = found.manifest.groups
        note += (
            f"The {len(groups)} most doubtful of {total:,} groups:"
            if len(groups) < total
            else "The most doubtful groups come first."
        )
    if again:
        note = f"The embeddings have changed since this search; this makes it again. {note}"
    rows = [group_row(group, pictures, thumbnail, SHOWN_MEMBERS) for group in groups]
    facts = copy_facts(found.manifest)
    facts.pop("variant")
    name = "All groups, with the scores of their pairs" if groups else "The page of this search"
    return Section(heading, note, rows, facts=facts, command=again, links=[(name, place)])


def _group(rows: list[dict[str, object]], number: int) -> DuplicateGroup:
    """A group whose members are numbers of `rows`."""
    members = [at for at, row in enumerate(rows) if row["group"] == number]
    [keep] = [at for at in members if rows[at]["keep"]][:1] or members[:1]
    duplicates = tuple(
        Duplicate(
            picture=at,
            score=rows[at]["score"],  # type: ignore[arg-type]
            kind=rows[at]["kind"],  # type: ignore[arg-type]
            is_direct=rows[at]["evidence"] == "direct",
            proof=rows[at]["proof"],  # type: ignore[arg-type]
            agreement=rows[at]["agreement"],  # type: ignore[arg-type]
            change=str(rows[at]["change"]),
            via=keep,
        )
        for at in members
        if at != keep
    )
    return DuplicateGroup(keep, duplicates)
