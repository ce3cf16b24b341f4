"""JOB embeddings -> duplicate groups and a report; nothing is ever deleted.

lookalike dedup out --variant mobilenet_v2_100_224
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from index.duplicate_groups import (
    KEEP_POLICIES,
    DuplicateGroup,
    KeepPolicy,
    encode_groups,
    find_duplicate_groups,
    groups_table,
)
from index.manifest import DuplicatesManifest
from index.output_folder import DUPLICATES, OutputFolder, variant_partition
from index.output_lock import only_writer
from index.publishing import replacing, settle_embeddings
from index.stored_file import StoredFile
from pipelines.job import JobReport, above_zero, flag

if TYPE_CHECKING:
    import pyarrow as pa

    from index.embedding_dataset import EmbeddingDataset
    from index.html_report import PictureRow

SHOWN_GROUPS: Final = 300
SHOWN_MEMBERS: Final = 24


@dataclass(frozen=True)
class FindDuplicates:
    """Group exact and near duplicates, and say which of each group to keep. Deletes nothing."""

    output: str = flag("a folder that `lookalike embed` made", positional=True, metavar="OUT")
    variant: str | None = flag(
        "whose embeddings; may be left out where there is one", default=None, metavar="NAME"
    )
    threshold: float = flag(
        "the least cosine of a near duplicate to the picture kept",
        default=0.9,
        parse=above_zero,
        metavar="COSINE",
    )
    keep: KeepPolicy = flag("which of a group", default="largest", choices=KEEP_POLICIES)
    overwrite: bool = flag("replace finished groups", default=False)

    def run(self) -> JobReport:
        """Write groups.parquet and report.html beside the old ones, then rename into place."""
        from index.embedding_dataset import EmbeddingDataset
        from pipelines.start_beam import start_beam
        from transforms.variants import stored_name

        start_beam()  # its filesystems read pictures for the report
        output = OutputFolder.at(self.output)
        with only_writer(output):
            settle_embeddings(output)
            dataset = EmbeddingDataset.open(output, stored_name(self.variant))
            groups, variant = output.folder(DUPLICATES), dataset.space.variant
            with replacing(groups, variant, overwrite=self.overwrite) as folder:
                manifest = self._write(dataset, folder)
        made = output.folder(DUPLICATES, variant_partition(variant))
        copies = manifest.exact_duplicates + manifest.near_duplicates
        return JobReport(
            {
                "pictures": f"{manifest.pictures:,}",
                "groups": f"{manifest.groups:,}, with {copies:,} pictures beside the kept ones",
                "exact duplicates": f"{manifest.exact_duplicates:,}",
                "near duplicates": f"{manifest.near_duplicates:,} (cosine >= {self.threshold})",
                "kept": f"the {self.keep} of each group; no picture was touched",
                "groups file": made.path(manifest.groups_file.name),
                "report": made.path(manifest.report_file.name),
            }
        )

    def _write(self, dataset: EmbeddingDataset, folder: OutputFolder) -> DuplicatesManifest:
        pictures = dataset.pictures()
        groups = find_duplicate_groups(
            pictures, dataset.vectors(), threshold=self.threshold, keep=self.keep
        )
        table = groups_table(groups, pictures, dataset.space, threshold=self.threshold)
        data = encode_groups(table)
        page = self._page(groups, pictures, dataset.space.variant).encode()
        kinds = [duplicate.kind for group in groups for duplicate in group.duplicates]
        manifest = DuplicatesManifest(
            space=dataset.space,
            embeddings=dataset.record.digest,
            threshold=self.threshold,
            keep=self.keep,
            pictures=len(dataset),
            groups=len(groups),
            exact_duplicates=kinds.count("exact"),
            near_duplicates=kinds.count("near"),
            groups_file=StoredFile.of("groups.parquet", data, rows=table.num_rows),
            report_file=StoredFile.of("report.html", page),
        )
        folder.write("groups.parquet", data)
        folder.write("report.html", page)
        manifest.write(folder)
        return manifest

    def _page(self, groups: list[DuplicateGroup], pictures: pa.Table, variant: str) -> str:
        """The report: the groups, those with the least alike members first."""
        from index.html_report import Section, render_report

        doubtful_first = sorted(groups, key=lambda group: group.duplicates[-1].score)
        shown = doubtful_first[:SHOWN_GROUPS]
        note = (
            "The framed picture of each group is the one to keep; under each other stands its cosine "
            "to it. Groups with the least alike member come first."
        )
        if len(groups) > len(shown):
            note += f" {len(shown)} of {len(groups):,} groups are shown; groups.parquet has all."
        copies = sum(len(group.duplicates) for group in groups)
        facts = {
            "pictures": f"{pictures.num_rows:,}",
            "groups": f"{len(groups):,}",
            "pictures beside the kept ones": f"{copies:,}",
            "variant": variant,
            "threshold": f"cosine of at least {self.threshold}",
            "kept": f"the {self.keep} of each group",
        }
        rows = [_group_row(group, pictures) for group in shown]
        heading = "Groups" if groups else "No duplicates found"
        return render_report("Duplicate pictures", facts, [Section(heading, note, rows)])


def _group_row(group: DuplicateGroup, pictures: pa.Table) -> PictureRow:
    from index.html_report import PictureCard, PictureRow
    from pipelines.load_thumbnails import load_thumbnail

    uris = pictures.column("uri")
    kept = uris[group.keep].as_py()
    cards = [PictureCard(kept, load_thumbnail(kept), "keep", "kept")]
    for duplicate in group.duplicates[:SHOWN_MEMBERS]:
        uri = uris[duplicate.picture].as_py()
        exact = duplicate.kind == "exact"
        caption = "exact copy" if exact else f"{duplicate.score:.4f}"
        cards.append(PictureCard(uri, load_thumbnail(uri), caption, duplicate.kind))
    hidden = len(group.duplicates) - SHOWN_MEMBERS
    more = f" ({hidden} more in groups.parquet)" if hidden > 0 else ""
    return PictureRow(f"{len(group.duplicates) + 1} pictures{more}", cards)
