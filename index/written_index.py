"""The FAISS files of an index -> the whole of it, with rows, report and manifest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from index.embedding_dataset import EmbeddingDataset
from index.factory_string import IndexChoice
from index.index_report import index_report
from index.index_rows import ROWS_FILE, IndexRows, encode_rows
from index.manifest import IndexManifest, VariantSettings
from index.output_folder import OutputFolder
from index.search_tuning import Tuned
from index.stored_file import MappedFile

REPORT_FILE: Final = "report.html"


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


def publish_index(
    dataset: EmbeddingDataset,
    folder: OutputFolder,
    written: WrittenIndex,
    rows: IndexRows,
    *,
    began: float,
    figures: Mapping[str, object],
) -> IndexManifest:
    """Write what stands beside the FAISS files of a staged index, its manifest last.

    Args:
        dataset: that it covers.
        folder: with its FAISS files.
        written: those.
        rows: what they hold.
        began: when its making began, by time.perf_counter.
        figures: the fields of the manifest that say what it was trained and measured with.
    """
    record = dataset.record
    tuned = written.tuned
    rows_file = MappedFile.write(
        folder, ROWS_FILE, [memoryview(encode_rows(rows.table, record.space))]
    )
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
            "next_id": rows.next_id,
            "updates": rows.updates,
            **figures,
        }
    )
    page = index_report(manifest).encode()
    report_file = MappedFile.write(folder, REPORT_FILE, [page])
    manifest = manifest.model_copy(update={"report_file": report_file})
    manifest.write(folder)
    return manifest
