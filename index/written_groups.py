"""A search for copies -> its files: groups, what to remove and to keep, pages, and their manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping

from index.copy_search import CopySearch
from index.copy_task import ComparedPictures
from index.duplicates_manifest import CopySettings, DuplicatesManifest
from index.duplicates_report import Thumbnail, copy_facts, duplicates_pages, shown_pictures
from index.groups_table import encode_groups, groups_table, removal_lists
from index.output_folder import OutputFolder
from index.progress import SILENT, Progress
from index.score_histogram import draw_score_histogram
from index.stored_file import StoredFile


def publish_groups(
    search: CopySearch,
    compared: ComparedPictures,
    settings: CopySettings,
    folder: OutputFolder,
    identities: Mapping[int, Hashable | None],
    thumbnail: Thumbnail,
    progress: Progress = SILENT,
) -> DuplicatesManifest:
    """Write all of it into a folder, the manifest last.

    Args:
        search: what was found.
        compared: among which pictures; those of the last data set are ours to propose.
        settings: how it was looked for.
        folder: empty, or not there yet.
        identities: by the rows of members: what is the same for all names of a file, None for one that
            is not what was embedded any more.
        thumbnail: a data: URI for the picture at a URI; None where it cannot be shown.
        progress: who shows how far it is.
    """
    pictures, evidence, space = compared.pictures, search.evidence, compared.datasets[-1].space
    table = groups_table(
        search.groups, pictures, space, identities, remove_transitive=settings.remove_transitive
    )
    to_remove, kept = removal_lists(table, compared.own_uris())
    files = {"groups.parquet": encode_groups(table), "to_remove.txt": to_remove, "kept.txt": kept}
    stored = {}
    for name, data in files.items():
        folder.write(name, data)
        rows = len(table) if name == "groups.parquet" else None
        stored[name] = StoredFile.of(name, data, rows=rows)
    strangers = search.distribution
    manifest = DuplicatesManifest(
        settings=settings,
        space=space,
        embeddings=tuple(one.record.digest for one in compared.datasets),
        between=compared.between,
        threshold=evidence.threshold,
        strangers=strangers and (strangers.median, strangers.start, strangers.decay),
        join=search.join,
        pictures=len(pictures),
        pairs=len(evidence.pairs),
        looked_at=dict(Counter(look.verdict for look in evidence.seen.values())),
        groups=len(search.groups),
        members=dict(Counter(one.kind for group in search.groups for one in group.duplicates)),
        removed=sum(table.column("remove").to_pylist()),
        held_back=dict(Counter(filter(None, table.column("held_back").to_pylist()))),
        groups_file=stored["groups.parquet"],
        to_remove_file=stored["to_remove.txt"],
        kept_file=stored["kept.txt"],
        report_files=(),
    )
    pages = []
    with progress.step("drawing pages", shown_pictures(search.groups), "pictures") as step:

        def counted_thumbnail(uri: str) -> str | None:
            shown = thumbnail(uri)
            step.advance()
            return shown

        for name, page in duplicates_pages(
            "Copies across two sides" if compared.between else "Duplicate pictures",
            search.groups,
            pictures,
            copy_facts(manifest),
            draw_score_histogram(evidence),
            counted_thumbnail,
        ):
            data = page.encode()
            folder.write(name, data)
            pages.append(StoredFile.of(name, data))
    manifest = manifest.model_copy(update={"report_files": tuple(pages)})
    manifest.write(folder)
    return manifest
