"""JOB the pictures that dedup keeps -> a folder of their own; nothing is deleted, and all can be undone.

lookalike apply out --to clean
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from index.duplicates_manifest import DuplicatesManifest
from index.embedding_dataset import EmbeddingDataset
from index.errors import ArtifactDamaged, ArtifactError, OutputMissing, UsageError
from index.file_moves import How, carry_out, plan_moves, read_notes, take_back
from index.groups_table import decode_groups, removed_uris
from index.manifest import EmbeddingsManifest
from index.output_folder import APPLIED, DUPLICATES, OutputFolder, variant_partition
from index.output_lock import only_writer
from index.progress import Progress
from pipelines.job import DONE, FAILED, JobReport, flag
from pipelines.progress_flags import ProgressFlags

SHOWN: Final = 5
VERBS: Final = {"link": "linking", "move": "moving"}


@dataclass(frozen=True)
class ApplyGroups(ProgressFlags):
    """Hard-link, or move, the pictures that `lookalike dedup` keeps into a new folder. Deletes nothing.

    Without --do, it only says what it would do.
    """

    output: str = flag(
        "a folder that `lookalike dedup` has worked on", positional=True, metavar="OUT"
    )
    to: str | None = flag("the new folder", default=None, metavar="FOLDER")
    variant: str | None = flag(
        "whose groups; may be left out where there is one", default=None, metavar="NAME"
    )
    how: How = flag(
        "link gives each picture a second name, move another one",
        default="link",
        choices=("link", "move"),
    )
    do: bool = flag("do it", default=False)
    undo: str | None = flag(
        "take back what was done, by the file that was written then", default=None, metavar="FILE"
    )

    def run(self) -> JobReport:
        """Plan, and with --do carry out; or undo."""
        if (self.to is None) == (self.undo is None):
            raise UsageError("name a new folder with --to, or an undo file with --undo")
        output = OutputFolder.at(self.output)
        with self.show_progress() as progress, only_writer(output):
            if self.undo is not None:
                return self._undo(self.undo, progress)
            return self._apply(output, self.to, progress)

    def _apply(self, output: OutputFolder, to: str | None, progress: Progress) -> JobReport:
        from transforms.variants import stored_name

        dataset = EmbeddingDataset.open(output, stored_name(self.variant))
        folder = output.folder(DUPLICATES, variant_partition(dataset.space.variant))
        try:
            manifest = DuplicatesManifest.read(folder)
        except OutputMissing:
            raise OutputMissing(
                f"{output.root} holds no groups of variant {dataset.space.variant!r}; make them with: "
                f"lookalike dedup {output.root} --variant {dataset.space.variant}"
            ) from None
        if manifest.embeddings != (dataset.record.digest,):
            raise OutputMissing(
                f"{output.root}: the embeddings are others than those that were compared "
                f"({dataset.record.digest[:16]}… now, {manifest.embeddings[0][:16]}… then); run dedup "
                "again with --overwrite"
            )
        groups = decode_groups(manifest.groups_file.read_from(folder))
        removed = removed_uris(groups)
        every = dataset.pictures().column("uri").to_pylist()
        kept = sorted(uri for uri in every if uri not in removed)
        with progress.step("checking pictures", len(kept), "pictures") as step:
            moves = plan_moves(kept, to or "", self.how, step.advance)
        failures = EmbeddingsManifest.read(output).failures
        target = os.path.abspath(os.path.expanduser(to or ""))
        facts = {
            "pictures": f"{len(moves):,} to {self.how}, {manifest.removed:,} stay where they are",
            "not embedded": f"{failures:,} pictures, which stay where they are, too",
            "new folder": target,
            "such as": "".join(f"\n  {move.source} -> {move.target}" for move in moves[:SHOWN]),
        }
        figures = {
            "how": self.how,
            "pictures": len(moves),
            "staying": manifest.removed,
            "not_embedded": failures,
            "folder": target,
        }
        if not self.do:
            facts["done"] = "nothing; pass --do to do it"
            return JobReport(facts, figures={**figures, "done": 0, "undo": None})
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.jsonl"
        notes = Path(output.path(APPLIED)) / name
        notes.parent.mkdir(exist_ok=True)
        try:
            with (
                notes.open("x", encoding="utf-8") as stream,
                progress.step(VERBS[self.how], len(moves), "pictures") as step,
            ):
                done = carry_out(moves, stream, step.advance)
        except ArtifactError as error:
            raise ArtifactError(f"{error}; take back what was done with --undo {notes}") from error
        verb = "linked" if self.how == "link" else "moved"
        return JobReport(
            {**facts, "done": f"{done:,} {verb}", "undo with": f"--undo {notes}"},
            figures={**figures, "done": done, "undo": str(notes)},
        )

    def _undo(self, place: str, progress: Progress) -> JobReport:
        if Path(place).exists() and not Path(place).is_file():
            raise ArtifactDamaged(f"{place} is no undo file")
        try:
            text = Path(place).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ArtifactDamaged(f"{place} is no undo file: {error}") from error
        moves = read_notes(text)
        left = []
        with progress.step("taking back", len(moves), "pictures") as step:
            for move, reason in take_back(moves):
                step.advance(0 if reason else 1, failed=1 if reason else 0)
                if reason:
                    left.append({"path": move.target, "reason": reason})
        shown = [f"\n  {one['path']}: {one['reason']}" for one in left[:SHOWN]]
        undone = len(moves) - len(left)
        facts = {"undone": f"{undone:,}", "left as they are": f"{len(left):,}{''.join(shown)}"}
        return JobReport(facts, FAILED if left else DONE, {"undone": undone, "left": left})
