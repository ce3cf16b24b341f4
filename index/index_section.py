"""An index beside its embeddings -> a section of a page, with its recall plot."""

from __future__ import annotations

from index.html_report import Section
from index.index_report import index_facts, recall_section
from index.manifest import IndexManifest, VariantRecord
from index.output_folder import OutputFolder


def index_section(folder: OutputFolder, record: VariantRecord, place: str, update: str) -> Section:
    """What the index is, how well it searches, and whether it covers the embeddings.

    Args:
        folder: OUT/index/variant=<name>.
        record: of the embeddings that it should cover.
        place: a link to its own page.
        update: the command that brings it up to date.

    Raises:
        OutputMissing: there is none.
        ArtifactDamaged: a file is not what was written.
    """
    manifest = IndexManifest.read(folder)
    for file in (*manifest.searched_files, manifest.rows_file, manifest.report_file):
        file.check(folder)
    is_behind = manifest.embeddings != record.digest
    note = (
        f"It is behind: it covers {manifest.count:,} pictures of earlier embeddings, and there are "
        f"{record.rows:,} now. Searches go on with it, and say so. This brings it up to date:"
        if is_behind
        else f"It covers all {record.rows:,} pictures."
    )
    measured = recall_section(manifest)
    drawing = measured.drawing if measured and len(manifest.tried) > 1 else ""  # a point is no plot
    if measured and drawing and not is_behind:
        note += f" {measured.note}"
    return Section(
        "Index",
        note,
        drawing=drawing,
        table=measured.table if measured else (),
        facts=index_facts(manifest),
        command=update if is_behind else "",
        links=[("The page of this index", place)],
    )
