"""JOB an output -> one page about it: what ran, what failed, a map, its index, its duplicates.

lookalike report out
"""

from __future__ import annotations

import dataclasses
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from index.errors import ArtifactError, OutputMissing
from index.output_folder import REPORT, OutputFolder
from pipelines.job import DONE, FAILED, JobReport, flag
from pipelines.progress_flags import ProgressFlags
from pipelines.whole_file import write_whole

if TYPE_CHECKING:
    from index.html_report import Section
    from index.manifest import EmbeddingsManifest
    from index.progress import Progress
    from pipelines.variant_part import VariantPart

MAP_SIDE: Final = 128  # pixels of a thumbnail on the map: 1,500 of them take about 5 MB
MAP_QUALITY: Final = 50


@dataclass(frozen=True)
class WriteReport(ProgressFlags):
    """Write one self-contained page about an output. It reads everything, and changes nothing else.

    Where an artefact is damaged, the page says so in its place, and the exit code is 1.
    """

    output: str = flag("a folder that `lookalike embed` made", positional=True, metavar="OUT")
    variant: str | None = flag(
        "only about this one; about all that there are, if not given", default=None, metavar="NAME"
    )
    report: str | None = flag(
        f"where to write the page; OUT/{REPORT} if not given", default=None, metavar="FILE"
    )
    map: str = flag(
        "what lays out the map: umap needs umap-learn; auto takes it where it is installed",
        default="auto",
        choices=("auto", "umap", "pca"),
    )

    def run(self) -> JobReport:
        """Read what there is, and write the page under a temporary name, then rename it."""
        from index.html_report import render_report
        from index.map_layout import check_method
        from index.run_summary import modules_section, run_facts, throughput_section
        from pipelines.start_beam import start_beam

        check_method(self.map)
        output = OutputFolder.at(self.output)
        page = os.path.abspath(self.report or output.path(REPORT))
        manifest = _finished(output)
        parts = self._parts(output, manifest, os.path.dirname(page))
        start_beam()  # its filesystems read pictures
        damage: list[str] = []
        with self.show_progress() as progress:
            of_variants = self._variant_sections(parts, progress)
        records = [part.dataset.record for part in parts]
        of_run = [
            _failures(output, manifest, damage),
            throughput_section(manifest),
            modules_section(records),
        ]
        if len(parts) > 1:
            of_run[0] = dataclasses.replace(of_run[0], chapter="The run")
        damage += [told for part in parts for told in part.told]
        html = render_report(
            f"Report of {os.path.basename(output.root)}",
            run_facts(manifest),
            [*of_variants, *of_run],
            figures=_figures(manifest, parts),
        )
        write_whole(page, html.encode(errors="replace"))
        damage = list(dict.fromkeys(damage))
        for told in () if self.json else damage:
            print(f"lookalike report: {told}", file=sys.stderr)
        facts = {
            "variants": ", ".join(record.space.variant for record in records),
            "pictures": f"{manifest.pictures:,}",
            "page": f"{os.path.getsize(page) / (1 << 20):.1f} MB",
            "report": page,
        }
        figures = {
            "variants": [record.space.variant for record in records],
            "pictures": manifest.pictures,
            "bytes": os.path.getsize(page),
            "report": page,
            "damage": damage,
        }
        return JobReport(facts, FAILED if damage else DONE, figures)

    def _parts(
        self, output: OutputFolder, manifest: EmbeddingsManifest, folder: str
    ) -> list[VariantPart]:
        from index.embedding_dataset import EmbeddingDataset
        from pipelines.variant_part import VariantPart
        from transforms.variants import stored_name

        asked = stored_name(self.variant)
        names = list(manifest.variants) if asked is None else [asked]
        return [VariantPart(output, EmbeddingDataset.open(output, name), folder) for name in names]

    def _variant_sections(self, parts: list[VariantPart], progress: Progress) -> list[Section]:
        """The sections of all variants; the map is laid out while the rest is read."""
        from index.map_layout import lay_out, umap_process
        from pipelines.load_thumbnails import load_thumbnails

        most = max((len(part.dataset) for part in parts), default=0)
        with ThreadPoolExecutor(1) as aside, umap_process(self.map, most) as umap:
            layouts = aside.submit(lay_out, umap, [part.read_sample() for part in parts])
            with progress.step("reading", len(parts), "variants") as step:
                for part in parts:
                    part.read_rest()
                    step.advance()
            with progress.step("making thumbnails"):
                cards = load_thumbnails(uri for part in parts for uri in part.card_uris())
                dots = load_thumbnails(
                    (uri for part in parts for uri in part.sample.uris), MAP_SIDE, MAP_QUALITY
                )
            with progress.step("laying out the map"):
                laid_out = layouts.result()
            for part, layout in zip(parts, laid_out, strict=True):
                # A picture that several maps show is on the page once.
                own = {uri: dots.pop(uri) for uri in part.sample.uris if uri in dots}
                part.place(layout, own)
        sections = []
        for part in parts:
            first, *rest = part.sections(cards)
            chapter = part.name if len(parts) > 1 else ""
            sections += [dataclasses.replace(first, chapter=chapter), *rest]
        return sections


def _finished(output: OutputFolder) -> EmbeddingsManifest:
    from index.manifest import EmbeddingsManifest

    try:
        return EmbeddingsManifest.read(output)
    except OutputMissing:
        raise OutputMissing(
            f"{output.root} holds no finished embeddings (no manifest.json), so there is nothing to "
            f"report; make them with: lookalike embed PICTURES --variants NAME --output {output.root}"
        ) from None


def _failures(output: OutputFolder, manifest: EmbeddingsManifest, damage: list[str]) -> Section:
    from index.html_report import Section
    from pipelines.failure_section import failure_section
    from pipelines.load_thumbnails import load_thumbnails
    from transforms.dead_letters import read_dead_letters

    try:
        failures = read_dead_letters(output, manifest.failure_files)
    except ArtifactError as error:
        damage.append(str(error))
        note = f"{manifest.failures:,} pictures failed; why cannot be told: {error}"
        return Section("Failures", note)
    return failure_section(failures, load_thumbnails)


def _figures(manifest: EmbeddingsManifest, parts: list[VariantPart]) -> list[tuple[str, str]]:
    """What to read first."""
    from index.run_summary import rate_text

    figures = [
        (f"{manifest.pictures:,}", "picture" if manifest.pictures == 1 else "pictures"),
        (f"{manifest.failures:,}", "could not be used"),
    ]
    run = manifest.last_run
    if run is not None and run.pictures:
        figures.append((rate_text(run), "pictures a second"))
    return [*figures, *(parts[0].figures() if len(parts) == 1 else [(f"{len(parts)}", "variants")])]
