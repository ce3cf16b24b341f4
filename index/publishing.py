"""One writer at a time, and artefacts that appear whole: staged, then renamed into place."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from index.errors import ArtifactError, OutputBusy, OutputExists, OutputMissing
from index.output_folder import OutputFolder, variant_partition

UNFINISHED: Final = ".unfinished"  # readers of Parquet folders skip names that begin with a dot
REPLACING: Final = ".replacing"  # what is old is on its way here; what is new has not moved yet
REPLACED: Final = ".replaced"  # what is old is here, all of it; what is new is moving
LOCK: Final = ".lock"


@contextlib.contextmanager
def only_writer(output: OutputFolder, *, create: bool = False) -> Iterator[None]:
    """Be the only run that writes into an output until the block ends; a dead process holds nothing.

    Args:
        output: the root of an output: what is derived must not change under what it derives from.
        create: whether to make the folder.

    Raises:
        OutputMissing: the folder is not there, and not to be made.
        OutputBusy: another run is writing into it.
        ArtifactError: it cannot be written to.
    """
    path = Path(output.path(LOCK))
    if not create and not path.parent.is_dir():
        raise OutputMissing(f"{output.root} does not exist, or is no folder")
    busy = OutputBusy(
        f"another run is writing into {output.root}; wait for it, or choose another folder"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
    except OSError as error:
        raise ArtifactError(
            f"{output.root} cannot be written to ({error.strerror}); name a folder that can"
        ) from error
    with lock:
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
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # where nothing was written


def publish(
    folder: OutputFolder,
    staged: OutputFolder,
    names: Sequence[str],
    *,
    stale: Sequence[str],
    key: str = "",
) -> None:
    """Rename `names` from `staged` into `folder`, in this order, in place of all that is `stale`.

    What is stale goes aside first and is deleted at the end, so that a run that is killed in between
    loses nothing: `settle`, called with the same names and key, finishes or undoes it.
    """
    for name in stale:
        if folder.exists(name):
            folder.move(name, f"{REPLACING}{key}/{name}")
    if folder.exists(REPLACING + key):
        folder.move(REPLACING + key, REPLACED + key)
    for name in names:
        if staged.exists(name):
            folder.filesystem.move(staged.path(name), folder.path(name))
    folder.delete(REPLACED + key)


def settle(folder: OutputFolder, names: Sequence[str], *, key: str = "") -> None:
    """Finish or undo a publication of `names` that was cut short."""
    was_complete = folder.exists(names[-1])  # the last to come is there
    if folder.exists(REPLACED + key):
        if not was_complete:
            for name in names:
                folder.delete(name)
            _put_back(folder, REPLACED + key)
        folder.delete(REPLACED + key)
    if folder.exists(REPLACING + key):
        _put_back(folder, REPLACING + key)
        folder.delete(REPLACING + key)


def _put_back(folder: OutputFolder, aside: str) -> None:
    for name in folder.folder(aside).names():
        folder.move(f"{aside}/{name}", name)


@contextlib.contextmanager
def replacing(parent: OutputFolder, variant: str, *, overwrite: bool) -> Iterator[OutputFolder]:
    """A hidden folder to fill, renamed to the variant's partition of `parent` when the block ends.

    Raises:
        OutputExists: the partition is there and `overwrite` is not asked for.
    """
    partition = variant_partition(variant)
    key = f"-{partition}"
    settle(parent, [partition], key=key)
    if parent.exists(partition) and not overwrite:
        raise OutputExists(f"{parent.path(partition)} is finished; pass --overwrite to replace it")
    parent.delete(UNFINISHED)
    staged = parent.folder(UNFINISHED)
    try:
        yield staged.folder(partition)
        publish(parent, staged, [partition], stale=[partition], key=key)
    finally:
        parent.delete(UNFINISHED)
