"""Some image files -> one array of model inputs a size, and failures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.embedding_dataset import PICTURE_SCHEMA
from transforms.elements import FailedStage, Failure, ImageFile
from transforms.pixels import PreparedPicture, prepare_picture
from transforms.resizing import Size
from transforms.unreadable_picture import UnreadablePicture


@dataclass(frozen=True)
class ModelInputs:
    """Pictures that could be decoded, as model inputs.

    Attributes:
        pictures: each file with what its picture is; without its pixels.
        arrays: float32 [pictures, height, width, 3] in [0, 1], by size.
        failures: of the files that could not be decoded.
    """

    pictures: tuple[tuple[ImageFile, PreparedPicture], ...]
    arrays: Mapping[Size, NDArray[np.float32]]
    failures: tuple[Failure, ...]


def prepare_inputs(images: Sequence[ImageFile], sizes: Sequence[Size]) -> ModelInputs:
    """Decode every picture once, and resize it to every size."""
    arrays = {size: np.empty((len(images), *size, 3), np.float32) for size in sizes}
    pictures: list[tuple[ImageFile, PreparedPicture]] = []
    failures = []
    for image in images:
        try:
            picture = prepare_picture(image.data, sizes)
        except UnreadablePicture as trouble:
            failures.append(failure_of(image, "decode", trouble.reason, str(trouble)))
            continue
        for size, pixels in picture.inputs.items():
            arrays[size][len(pictures)] = pixels
        pictures.append((image, dataclasses.replace(picture, inputs={})))
    filled = {size: array[: len(pictures)] for size, array in arrays.items()}
    return ModelInputs(tuple(pictures), filled, tuple(failures))


def failure_of(
    image: ImageFile, stage: FailedStage, error: str, message: str, variant: str | None = None
) -> Failure:
    """What became of a file that was read."""
    size, modified_s, content_hash = len(image.data), image.modified_s, image.content_hash
    return Failure(image.uri, stage, error, message, variant, size, modified_s, content_hash)


def picture_table(pictures: Sequence[tuple[ImageFile, PreparedPicture]]) -> pa.Table:
    """PICTURE_SCHEMA, one row a picture."""
    return pa.table(
        {
            "uri": [image.uri for image, _ in pictures],
            "content_hash": [image.content_hash for image, _ in pictures],
            "bytes": [len(image.data) for image, _ in pictures],
            "modified": [microseconds(image.modified_s) for image, _ in pictures],
            "width": [picture.width for _, picture in pictures],
            "height": [picture.height for _, picture in pictures],
            "format": [picture.format for _, picture in pictures],
        },
        schema=PICTURE_SCHEMA,
    )


def microseconds(seconds: float | None) -> int | None:
    """A time in seconds since 1970 as it is stored."""
    return None if seconds is None else round(seconds * 1_000_000)
