"""An index, true neighbors and a recall to reach -> the search setting that reaches it at least cost."""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from index.factory_string import NUMBER_BYTES, IndexLayout
from index.manifest import MeasuredSearch
from index.progress import UNSHOWN, Advance
from index.recall import ExactNeighbors
from index.search_parameters import TUNED_K, faiss_parameters, place_selector, setting_names

# Reading codes in order and vectors here and there, as measured: the choice must not hang on a clock.
SCANNED_BYTES_A_US: Final = 11_000
SCORED_BYTES_A_US: Final = 1_500
SCORED: Final = tuple(
    round(10 * 2 ** (step / 2)) for step in range(19)
)  # 10, 14, 20, ... 5120 candidates
ONE_SIDED_95: Final = 1.645
IN_HAND: Final = (
    0.1  # of the misses that are allowed, for queries unlike those that were measured with
)
EFFORTS: Final = 10
DRAWN: Final = (1 / 8, 1 / 4, 1 / 2, 2)  # times what is chosen: measured to be shown beside it


@dataclass(frozen=True)
class Tuned:
    """What tuning came to.

    Attributes:
        chosen: the cheapest setting that reaches the recall, or the best there is.
        reached: whether it does, by the lower end of what its error allows.
        tried: all that was measured, by rising recall.
    """

    chosen: MeasuredSearch
    reached: bool
    tried: tuple[MeasuredSearch, ...]


@dataclass
class SearchTuning:
    """The measuring of one index.

    Attributes:
        index: a FAISS index, filled.
        exact: the true neighbors of its queries.
        dataset_rows: int64 [places], the dataset's row at each place of the index, -1 where none is;
            None where they are the same.
        min_recall: the recall@10 to reach.
        advance: is told of every setting that was measured.
    """

    index: Any
    exact: ExactNeighbors
    dataset_rows: NDArray[np.int64] | None
    min_recall: float
    advance: Advance = UNSHOWN.advance
    _measured: dict[tuple[tuple[str, int], ...], MeasuredSearch] = field(default_factory=dict)

    def tune(self, layout: IndexLayout | None) -> Tuned:
        """Try settings, the cheap ones first."""
        if layout is not None and layout.candidates is not None:
            chosen = self._tune_candidates(layout)
        else:
            chosen = self._tune_by_effort()
        chosen = chosen or max(self._measured.values(), key=lambda one: one.recall_at_10)
        for factor in DRAWN:
            scaled = {name: int(value * factor) for name, value in chosen.parameters.items()}
            if scaled and min(scaled.values()) > 0:
                self.measure(scaled)
        tried = sorted(self._measured.values(), key=lambda one: one.recall_at_10)
        return Tuned(chosen, self._reaches(chosen), tuple(tried))

    def measure(self, setting: dict[str, int]) -> MeasuredSearch:
        """Recall and speed of one setting; each is measured once."""
        key = tuple(sorted(setting.items()))
        if key not in self._measured:
            vectors, k = self.exact.queries.vectors, TUNED_K + 1  # one of them is the query itself
            parameters = faiss_parameters(self.index, setting, k, self._living)
            began = time.perf_counter()
            _, ids = self.index.search(vectors, k, params=parameters)
            seconds = time.perf_counter() - began
            if self.dataset_rows is not None:
                ids = np.where(ids < 0, -1, self.dataset_rows[ids])
            recalls = self.exact.recalls(ids, TUNED_K)
            self._measured[key] = MeasuredSearch(
                parameters=setting,
                recall_at_1=float(self.exact.recalls(ids, 1).mean()),
                recall_at_10=float(recalls.mean()),
                recall_error=float(recalls.std() / np.sqrt(len(recalls))),
                queries_a_second=len(vectors) / seconds,
            )
            self.advance(1)
        return self._measured[key]

    @cached_property
    def _living(self) -> Any | None:
        """A selector of the places that a row of the dataset is at; None where all are."""
        if self.dataset_rows is None or (self.dataset_rows >= 0).all():
            return None
        return place_selector(self.dataset_rows >= 0)

    def _reaches(self, measured: MeasuredSearch) -> bool:
        lower = measured.recall_at_10 - ONE_SIDED_95 * measured.recall_error
        wanted = self.min_recall + IN_HAND * (1 - self.min_recall)
        return lower >= wanted or measured.recall_at_10 == 1

    def _tune_candidates(self, layout: IndexLayout) -> MeasuredSearch | None:
        """Over lists and candidates: for each number of lists the fewest candidates that do."""
        first, count = layout.candidates, self.index.ntotal
        assert first is not None
        dim, best, best_cost = self.index.d, None, np.inf

        def cost(nprobe: int, scored: int) -> float:
            scanned = count * nprobe / first.lists * first.codes / 2 + first.lists * first.width * 4
            stored = min(scored, count) * dim * NUMBER_BYTES[layout.stored]
            microseconds: float = scanned / SCANNED_BYTES_A_US + stored / SCORED_BYTES_A_US
            return microseconds

        for nprobe in _doubling(max(1, first.lists // 64), first.lists):
            affordable = [number for number in SCORED if cost(nprobe, number) < best_cost]
            if not affordable:
                break

            def tried(scored: int, nprobe: int = nprobe) -> MeasuredSearch:
                return self.measure({"nprobe": nprobe, "candidates": scored})

            if not self._reaches(tried(affordable[-1])):
                continue
            enough = bisect_left(affordable, True, key=lambda number: self._reaches(tried(number)))
            best = tried(affordable[enough])
            best_cost = cost(nprobe, affordable[enough])
        return best

    def _tune_by_effort(self) -> MeasuredSearch | None:
        """Over all that can be set of another index type, raised together."""
        start: dict[str, Callable[[int], int]] = {
            "nprobe": lambda effort: 2**effort,
            "efSearch": lambda effort: 16 * 2**effort,
            "candidates": lambda effort: 20 * 2**effort,
        }
        names = setting_names(self.index)
        for effort in range(EFFORTS if names else 1):
            measured = self.measure({name: start[name](effort) for name in names})
            if self._reaches(measured):
                return measured
        return None


def _doubling(start: int, end: int) -> Iterator[int]:
    """start, twice that, and so on; the last is `end`."""
    below = itertools.takewhile(lambda one: one < end, (start * 2**step for step in range(64)))
    yield from (*below, end)
