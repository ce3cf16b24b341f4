"""A few images -> vectors, without Beam: for queries."""

from __future__ import annotations

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
from transforms.variants import Variant, parse_variants
from transforms.work_threads import usable_cores, work_threads


@dataclass(frozen=True)
class ImageEmbedder:
    """Turns pictures into the vectors that the pipeline would have stored for them.

    `embedder.space` says what the vectors mean; `VectorIndex.open(path, query_space=...)` checks it.
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
        none = np.empty((0, self.space.num_features), np.float32)
        threads = work_threads(usable_cores())
        return np.concatenate([none, *threads.map(self._embed, images, range(len(images)))])

    def _embed(self, image: bytes | str | os.PathLike[str], number: int) -> NDArray[np.float32]:
        """One picture: float32 [1, dim]."""
        size = self.space.input_size
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        name = f"picture {number}" if isinstance(image, bytes) else repr(os.fspath(image))
        try:
            prepared = prepare_picture(data, [size])
        except UnreadablePicture as trouble:
            raise InvalidInput(f"{name} cannot be used: {trouble}") from trouble
        return self.engine.embed(prepared.inputs[size][None])
