"""A few images -> vectors, without Beam: for queries."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import InvalidInput
from index.vector_space import VectorSpace
from transforms.engines.engine import AUTO, Engine, EngineSettings, load_engine
from transforms.module_store import ModuleStore
from transforms.pixels import prepare_picture
from transforms.unreadable_picture import UnreadablePicture
from transforms.variants import VARIANTS, Variant, parse_variants
from transforms.work_threads import usable_cores, work_threads


@dataclass(frozen=True)
class ImageEmbedder:
    """Turns pictures into the vectors that the pipeline would have stored for them.

    `embedder.space` says what the vectors mean; `VectorIndex.open(path, query_space=...)` checks it.
    Runs as it is: examples/search_pictures.py.
    """

    engine: Engine

    @classmethod
    def open(
        cls, variant: str | Variant, *, modules: str | None = None, engine: str = AUTO
    ) -> ImageEmbedder:
        """Load a variant: a short name, `name=path-or-handle`, or a Variant.

        Args:
            variant: what to load.
            modules: a folder of modules; LOOKALIKE_MODULES where None.
            engine: what runs the module; "auto" for the fastest that is installed and sound.
        """
        known = variant if isinstance(variant, Variant) else parse_variants(variant)[0]
        settings = EngineSettings(engine, threads=usable_cores())
        return cls(load_engine(ModuleStore(modules).locate(known), settings))

    @classmethod
    def for_space(
        cls,
        space: VectorSpace,
        *,
        variant: str | None = None,
        modules: str | None = None,
        engine: str = AUTO,
    ) -> ImageEmbedder:
        """Load what embeds queries to stored vectors: their variant, as it is stored or is named here.

        Raises:
            SpaceMismatch: the module is another than the one that made them.
        """
        text = variant or space.variant
        if "=" in text or space.variant in VARIANTS:
            embedder = cls.open(text, modules=modules, engine=engine)
        else:
            own = Variant(name=space.variant, handle=space.handle)
            embedder = cls.open(own, modules=modules, engine=engine)
        space.require_same(embedder.space)
        return embedder

    @property
    def space(self) -> VectorSpace:
        """What the vectors mean."""
        return self.engine.space

    def embed(self, images: Sequence[bytes | str | os.PathLike[str]]) -> NDArray[np.float32]:
        """Vectors of pictures, given as the bytes of their files or as local paths.

        Returns:
            float32 [images, dim]; [0, dim] for none.

        Raises:
            InvalidInput: a picture that cannot be decoded, named.
            OSError: a file that cannot be read.
        """
        size = self.engine.batch_size
        pieces = [images[start : start + size] for start in range(0, len(images), size)]
        found = work_threads(usable_cores()).map(self.embed_each, pieces)
        vectors = [np.empty((0, self.space.num_features), np.float32)]
        for number, result in enumerate(itertools.chain.from_iterable(found)):
            if isinstance(result, UnreadablePicture):
                image = images[number]
                name = f"picture {number}" if isinstance(image, bytes) else repr(os.fspath(image))
                raise InvalidInput(f"{name} cannot be used: {result}") from result
            vectors.append(result[None])
        return np.concatenate(vectors)

    def embed_each(
        self, images: Sequence[bytes | str | os.PathLike[str]]
    ) -> list[NDArray[np.float32] | UnreadablePicture]:
        """The same on the calling thread: float32 [dim] of each, or why it has none."""
        size = self.space.input_size
        inputs: list[NDArray[np.float32]] = []
        failures: dict[int, UnreadablePicture] = {}
        for number, image in enumerate(images):
            data = image if isinstance(image, bytes) else Path(image).read_bytes()
            try:
                inputs.append(prepare_picture(data, [size]).inputs[size])
            except UnreadablePicture as trouble:
                failures[number] = trouble
        vectors = iter(self.engine.embed(np.stack(inputs)) if inputs else ())
        return [failures.get(number) or next(vectors) for number in range(len(images))]
