"""The URI of a picture -> what a page shows of it."""

from transforms.decoding import UnreadablePicture
from transforms.read_bytes import read_bytes
from transforms.thumbnails import thumbnail


def load_thumbnail(uri: str) -> str | None:
    """A data: URI; None where the picture is gone, or was never one."""
    try:
        return thumbnail(read_bytes(uri))
    except (OSError, UnreadablePicture):
        return None
