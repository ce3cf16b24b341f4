"""The URI of a file -> its bytes, through Beam's filesystems."""

import stat
from pathlib import Path
from typing import Final

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.local_files import as_path, is_local

MAX_FILE_BYTES: Final = 256 << 20


def read_bytes(uri: str) -> bytes:
    """The bytes of a file on any filesystem Beam knows, as they are: `x.jpg.gz` is not unpacked.

    Raises:
        OSError: the file cannot be read, is none (a pipe would hang its reader), or has more than
            MAX_FILE_BYTES.
    """
    place = as_path(uri)
    try:
        if is_local(place) and not stat.S_ISREG(Path(place).stat().st_mode):
            raise OSError("it is not a regular file")
        with FileSystems.open(place, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            data: bytes = stream.read(MAX_FILE_BYTES + 1)
    except BeamIOError as error:
        raise OSError(f"it cannot be read: {error}") from error
    except ValueError as error:  # a name that no filesystem takes, such as one with a NUL
        raise OSError(f"it cannot be opened: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"the file has more than {MAX_FILE_BYTES:,} bytes; no larger one is read")
    return data
