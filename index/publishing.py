"""One writer at a time, and artefacts that appear whole: staged, then renamed into place."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from index.errors import OutputBusy, OutputExists
from index.output_folder import OutputFolder, variant_partition

UNFINISHED: Final = ".unfinished"  # readers of Parquet folders skip names that begin with a dot
REPLACED: Final = ".replaced"
LOCK: Final = ".lock"


@contextlib.contextmanager
def only_writer(folder: OutputFolder) -> Iterator[None]:
    """Be the only run that writes into `folder` until the block ends; a dead process holds nothing.

    Raises:
        OutputBusy: another run is writing into it.
    """
    path = Path(folder.path(LOCK))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        busy = OutputBusy(
            f"another run is writing into {folder.root}; wait for it, or choose another folder"
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        # Whoever held the lock until now has removed the file that we locked: another run may
        # have locked a new one.
        if not path.exists() or path.stat().st_ino != os.fstat(lock.fileno()).st_ino:
            raise busy
        try:
            yield
        finally:
            path.unlink()
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # where nothing was written


def publish(
    folder: OutputFolder, staged: OutputFolder, names: Sequence[str], stale: Sequence[str]
) -> None:
    """Rename `names` from `staged` into `folder`, in this order, in place of all that is `stale`.

    What is stale goes aside first, the last of `names` before the others, and is deleted at the end.
    So a run that is killed in between loses nothing: while the last of `names` is away, `settle` puts
    the old back.
    """
    for name in sorted(stale, key=lambda name: name != names[-1]):
        if folder.exists(name):
            folder.move(name, f"{REPLACED}/{name}")
    for name in names:
        if staged.exists(name):
            folder.filesystem.move(staged.path(name), folder.path(name))
    folder.delete(REPLACED)


def settle(folder: OutputFolder, last: str) -> None:
    """Finish or undo a publication that was cut short; `last` is the name it would have moved last."""
    if not folder.exists(last):
        for name in folder.folder(REPLACED).names():
            folder.move(f"{REPLACED}/{name}", name)
    folder.delete(REPLACED)


@contextlib.contextmanager
def replacing(parent: OutputFolder, variant: str, *, overwrite: bool) -> Iterator[OutputFolder]:
    """A hidden folder to fill, renamed to the variant's partition of `parent` when the block ends.

    Raises:
        OutputExists: the partition is there and `overwrite` is not asked for.
        OutputBusy: another run is writing below `parent`.
    """
    partition = variant_partition(variant)
    with only_writer(parent):
        settle(parent, partition)
        if parent.exists(partition) and not overwrite:
            raise OutputExists(
                f"{parent.path(partition)} is finished; pass --overwrite to replace it"
            )
        parent.delete(UNFINISHED)
        staged = parent.folder(UNFINISHED)
        try:
            yield staged.folder(partition)
            publish(parent, staged, [partition], stale=[partition])
        finally:
            parent.delete(UNFINISHED)
