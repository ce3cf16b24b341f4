"""The heavy work of finding copies: by the cores of this process, or by the workers of a Beam runner."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from index.copy_evidence import Look, decode_looks
from index.output_folder import OutputFolder
from index.progress import SILENT, UNSHOWN, Progress, Step
from index.similar_pairs import SimilarPairs, join_pairs

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from index.copy_task import PictureId, PicturePair
    from index.keep_policy import PictureTraits
    from index.pair_join import PairJoin
    from pipelines.run_on_workers import Wire
    from transforms.compared_pictures import PictureComparer

CHUNK_PAIRS: Final = 256
PROBED_PICTURES: Final = 8


@dataclass
class OwnCores:
    """This process.

    Attributes:
        comparer: of pictures.
        cores: that it compares with.
        progress: who shows how far it is.
    """

    comparer: PictureComparer
    cores: int = 1
    progress: Progress = SILENT

    def join(self, join: PairJoin, most: int) -> SimilarPairs:
        """Shard by shard."""
        find = join.open(self.progress)
        with self.progress.step("comparing vectors", *join.work()) as step:
            return join_pairs((find(shard, step.advance) for shard in join.shards()), most)

    def look(self, pairs: Sequence[PicturePair], step: Step) -> list[Look]:
        """Chunk by chunk."""
        looks: list[Look] = []
        for start in range(0, len(pairs), CHUNK_PAIRS):
            looks += self.comparer.looks(pairs[start : start + CHUNK_PAIRS], step.advance)
        return looks

    def traits(self, pictures: Sequence[PictureId], step: Step) -> list[PictureTraits | None]:
        """Picture by picture."""
        return self.comparer.traits(pictures, step.advance)

    def looking_s(self, pictures: Sequence[PictureId], pairs: int) -> float:
        """From a few pictures."""
        step = max(1, len(pictures) // PROBED_PICTURES)
        probed = pictures[::step][:PROBED_PICTURES]
        started = time.perf_counter()
        self.traits(probed, UNSHOWN)
        reading_s = (time.perf_counter() - started) / len(probed) * len(pictures)
        some = list(itertools.pairwise(probed)) * self.cores
        started = time.perf_counter()
        self.comparer.looks(some)
        return reading_s + (time.perf_counter() - started) / max(len(some), 1) * pairs


@dataclass
class BeamWorkers(OwnCores):
    """The workers of a runner join and look, and leave what they find in files; the rest is done here.

    Attributes:
        options: of the runner.
        work: a folder that they and this process reach.
    """

    options: PipelineOptions = field(kw_only=True)
    work: OutputFolder = field(kw_only=True)
    _runs: itertools.count[int] = field(default_factory=itertools.count)

    def join(self, join: PairJoin, most: int) -> SimilarPairs:
        """Each worker takes some shards."""
        from transforms.join_shards import JoinShards

        work = self._next_folder()
        with self.progress.step("comparing vectors", *join.work()) as step:
            self._run(lambda pipeline, worker: pipeline | JoinShards(join, work, worker), step)
        names = [f"{place:06}.pairs" for place in range(len(join.shards()))]
        return join_pairs((SimilarPairs.from_bytes(work.read(name)) for name in names), most)

    def look(self, pairs: Sequence[PicturePair], step: Step) -> list[Look]:
        """Each worker takes some chunks."""
        from transforms.look_at_pairs import LookAtPairs

        starts = range(0, len(pairs), CHUNK_PAIRS)
        chunks = [
            (number, tuple(pairs[start : start + CHUNK_PAIRS]))
            for number, start in enumerate(starts)
        ]
        work = self._next_folder()
        self._run(lambda pipeline, worker: pipeline | LookAtPairs(chunks, work, worker), step)
        names = [f"{number:06}.looks" for number, _ in chunks]
        return [look for name in names for look in decode_looks(work.read(name))]

    def _run(self, wire: Wire, step: Step) -> None:
        from pipelines.run_on_workers import run_on_workers

        run_on_workers(self.options, wire, step, if_it_stops="no groups were published")

    def _next_folder(self) -> OutputFolder:
        return self.work.folder(f"{next(self._runs):03}")
