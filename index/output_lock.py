"""One writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from index.errors import ArtifactError, OutputBusy, OutputMissing
from index.output_folder import OutputFolder

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
        # Should it be a pipe, this does not wait for its reader.
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise ArtifactError(
            f"{output.root} cannot be written to ({error.strerror or error}); name a folder that can"
        ) from error
    with os.fdopen(number, "ab") as lock:
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
