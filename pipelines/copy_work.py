"""The heavy work of finding copies: by the cores of this process, or by the workers of a Beam runner."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from index.copy_evidence import Look, decode_looks
from index.errors import PipelineFailed
from index.output_folder import OutputFolder
from index.similar_pairs import SimilarPairs, join_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions

    from index.copy_task import PictureId, PicturePair
    from index.keep_policy import PictureTraits
    from index.pair_join import PairJoin
    from transforms.compared_pictures import PictureComparer

CHUNK_PAIRS: Final = 256
TOLD_INTERVAL_S: Final = 10.0
PROBED_PICTURES: Final = 8
Result = TypeVar("Result")


def tell(line: str) -> None:
    """A line for the user, on standard error."""
    print(f"lookalike dedup: {line}", file=sys.stderr, flush=True)


@dataclass
class OwnCores:
    """This process.

    Attributes:
        comparer: of pictures.
        cores: that it compares with.
    """

    comparer: PictureComparer
    cores: int = 1

    def join(self, join: PairJoin, most: int) -> SimilarPairs:
        """Shard by shard."""
        shards = join.shards()
        find = join.open()
        told = _Told("of the vectors are joined", len(shards))
        return join_pairs((told.after(find(shard)) for shard in shards), most)

    def look(self, pairs: Sequence[PicturePair]) -> list[Look]:
        """Chunk by chunk."""
        looks: list[Look] = []
        told = _Told(f"of {len(pairs):,} pairs are looked at", -(-len(pairs) // CHUNK_PAIRS))
        for start in range(0, len(pairs), CHUNK_PAIRS):
            looks += told.after(self.comparer.looks(pairs[start : start + CHUNK_PAIRS]))
        return looks

    def traits(self, pictures: Sequence[PictureId]) -> Sequence[PictureTraits | None]:
        """Picture by picture."""
        return self.comparer.traits(pictures)

    def looking_s(self, pictures: Sequence[PictureId], pairs: int) -> float:
        """From a few pictures."""
        step = max(1, len(pictures) // PROBED_PICTURES)
        probed = pictures[::step][:PROBED_PICTURES]
        started = time.perf_counter()
        self.traits(probed)
        reading_s = (time.perf_counter() - started) / len(probed) * len(pictures)
        some = list(itertools.pairwise(probed)) * self.cores
        started = time.perf_counter()
        self.comparer.looks(some)
        return reading_s + (time.perf_counter() - started) / max(len(some), 1) * pairs

    def tell(self, line: str) -> None:
        """On standard error."""
        tell(line)


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

        work, threads, launcher = self._next_run()
        self._run(lambda pipeline: pipeline | JoinShards(join, work, threads, launcher))
        names = [f"{place:06}.pairs" for place in range(len(join.shards()))]
        return join_pairs((SimilarPairs.from_bytes(work.read(name)) for name in names), most)

    def look(self, pairs: Sequence[PicturePair]) -> list[Look]:
        """Each worker takes some chunks."""
        from transforms.look_at_pairs import LookAtPairs

        starts = range(0, len(pairs), CHUNK_PAIRS)
        chunks = [
            (number, tuple(pairs[start : start + CHUNK_PAIRS]))
            for number, start in enumerate(starts)
        ]
        work, threads, launcher = self._next_run()
        self._run(lambda pipeline: pipeline | LookAtPairs(chunks, work, threads, launcher))
        names = [f"{number:06}.looks" for number, _ in chunks]
        return [look for name in names for look in decode_looks(work.read(name))]

    def _next_run(self) -> tuple[OutputFolder, int | None, int | None]:
        """A folder of its own, and what the stages are told of the machine."""
        from pipelines.start_beam import threads_of_a_worker, worker_processes

        launcher = None if worker_processes(self.options) is None else os.getpid()
        return (
            self.work.folder(f"{next(self._runs):03}"),
            threads_of_a_worker(self.options),
            launcher,
        )

    def _run(self, wire: Callable[[Pipeline], object]) -> None:
        from pipelines.run_pipeline import run_pipeline
        from transforms.quiet_libraries import held_stderr

        try:
            with held_stderr(show_on_error=False):
                run_pipeline(self.options, wire)
        except PipelineFailed as error:
            raise PipelineFailed(f"{error}; no groups were published") from error


@dataclass
class _Told:
    """Says now and then how much of some work is done."""

    what: str
    total: int
    done: int = 0
    last: float = field(default_factory=time.monotonic)

    def after(self, result: Result) -> Result:
        self.done += 1
        if time.monotonic() - self.last > TOLD_INTERVAL_S:
            self.last = time.monotonic()
            tell(f"{self.done / self.total:.0%} {self.what}")
        return result
