"""A picture as its row has it -> the file that it still is, the same for all names of the file."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Hashable

from transforms.local_files import as_path, is_local
from transforms.model_inputs import microseconds
from transforms.read_bytes import read_bytes


def file_identity(
    uri: str, size: int, modified_us: int | None, content_hash: str
) -> Hashable | None:
    """What is the same for all names of a file; None where it is gone, or is not what was embedded.

    A local file of the size and the time of change that the row has is taken for unchanged; of any other
    the content decides.

    Args:
        uri: of the picture.
        size: that it had, in bytes.
        modified_us: when it was last changed, microseconds since 1970 UTC; None where not known.
        content_hash: sha256 of the bytes that it had.
    """
    identity: Hashable = uri
    try:
        if is_local(uri):
            status = os.stat(as_path(uri))
            if not stat.S_ISREG(status.st_mode) or status.st_size != size:
                return None
            identity = (status.st_dev, status.st_ino)
            if microseconds(status.st_mtime) == modified_us:
                return identity
        is_same = hashlib.sha256(read_bytes(uri)).hexdigest() == content_hash
    except OSError:
        return None
    return identity if is_same else None
