"""The URI of a picture -> what a page shows of it."""

from transforms.read_bytes import read_bytes
from transforms.thumbnails import thumbnail
from transforms.unreadable_picture import UnreadablePicture


def load_thumbnail(uri: str) -> str | None:
    """A data: URI; None where the picture is gone, or was never one."""
    try:
        return thumbnail(read_bytes(uri))
    except (OSError, UnreadablePicture):
        return None
