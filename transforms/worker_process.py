"""What a stage is told of the processes that it runs in."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.launcher_watch import end_with
from transforms.progress import Address


@dataclass(frozen=True)
class WorkerProcess:
    """A worker, as its launcher wants it.

    Attributes:
        threads: to compute with; None for as many as it may use cores.
        launcher: the process that it is to end with; None on other machines.
        progress: where to report; None where nobody listens, as on other machines.
    """

    threads: int | None = None
    launcher: int | None = None
    progress: Address | None = None

    def begin(self) -> None:
        """To be called before it works."""
        if self.launcher is not None:
            end_with(self.launcher)

    def begin_searching(self) -> None:
        """The same where FAISS will work."""
        import faiss

        self.begin()
        if self.threads is not None:
            faiss.omp_set_num_threads(self.threads)
