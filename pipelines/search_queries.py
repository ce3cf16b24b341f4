"""What a user searches with -> queries, each a vector that means what the index's do."""

from __future__ import annotations

import hashlib
import os
import tokenize
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from index.errors import InvalidInput
from index.exact_scores import Query
from index.unit_vectors import check_vectors

if TYPE_CHECKING:
    from index.embedding_dataset import EmbeddingDataset
    from index.vector_index import VectorIndex


def queries_by_image(
    images: Sequence[str], index: VectorIndex, variant: str, modules: str | None
) -> Iterator[Query]:
    """Picture files, embedded as the index's were."""
    if not images:
        return
    from transforms.image_embedder import ImageEmbedder
    from transforms.read_bytes import read_bytes

    embedder = ImageEmbedder.for_space(index.space, variant=variant, modules=modules)
    for name in images:
        try:
            data = read_bytes(name)
        except OSError as error:
            raise InvalidInput(f"query picture {name!r}: {error}") from error
        try:
            vector = embedder.embed([data])[0]
        except InvalidInput as error:
            raise InvalidInput(f"{name!r} cannot be used: {error.__cause__}") from error
        content = hashlib.sha256(data).hexdigest()
        yield Query(name, vector, index.find_content(content, os.path.abspath(name)))


def queries_by_uri(
    uris: Sequence[str], index: VectorIndex, dataset: EmbeddingDataset | None
) -> Iterator[Query]:
    """Pictures of the set, by the vectors that are stored of them."""
    for name in uris:
        own = index.find(name)
        own = index.find(os.path.abspath(name)) if own is None else own
        if own is None:
            raise InvalidInput(
                f"{name!r} is not a picture of this index; its URIs are as in rows.parquet, "
                "or search with --image"
            )
        ids = np.array([own])
        if dataset is None:
            yield Query(name, index.vectors(ids)[0], own)
            continue
        row = index.pictures(ids)
        place = row.column("part").to_numpy(), row.column("row").to_numpy()
        yield Query(name, dataset.vectors_at(*place)[0], own)


def queries_by_vector(file: str | None, index: VectorIndex) -> Iterator[Query]:
    """The vectors of a .npy file."""
    if not file:
        return
    try:
        vectors = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, tokenize.TokenError) as error:
        raise InvalidInput(f"{file!r} is not a .npy file of numbers: {error}") from error
    if not isinstance(vectors, np.ndarray):
        raise InvalidInput(f"{file!r} holds several arrays; save one as .npy")
    checked = check_vectors(np.atleast_2d(vectors), index.space.num_features)
    if not checked.any(axis=1).all():
        raise InvalidInput(f"{file!r} holds a vector of zeros, which is like no other")
    for number, vector in enumerate(checked):
        yield Query(f"{file}[{number}]", vector)
