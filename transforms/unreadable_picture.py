"""Bytes that are not a picture this recipe can read."""


class UnreadablePicture(Exception):
    """Bytes that are not a picture this recipe can read.

    `reason` is one of EmptyFile, NotAnImage, TruncatedFile, DamagedFile, TooManyPixels, OutOfMemory.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
