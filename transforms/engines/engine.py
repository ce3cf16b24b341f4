"""What every engine is, and how one is loaded."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from index.errors import UsageError
from index.vector_space import VectorSpace
from transforms.module_store import ModuleFolder
from transforms.variants import Variant

# Where each engine is; importing it is what makes it heavy.
ENGINES: Final = {"tensorflow": "transforms.engines.tensorflow_engine:TensorFlowEngine"}


class Engine(Protocol):
    """A loaded module: images in, vectors out.

    Attributes:
        name: the engine's.
        variant: the module's, with everything the catalogue or the signature says filled in.
        signature: the module's function that is called.
        space: what the vectors mean.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (described above)

    @property
    def variant(self) -> Variant: ...  # noqa: D102

    @property
    def signature(self) -> str: ...  # noqa: D102

    @property
    def space(self) -> VectorSpace: ...  # noqa: D102

    def embed(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors of images.

        Args:
            images: uint8 [batch, height, width, 3], or float in [0, 1] of that shape; RGB.

        Returns:
            float32 [batch, dim].

        Raises:
            InvalidInput: the module must not be given these images.
        """
        ...


@lru_cache(maxsize=32)
def load_engine(module: ModuleFolder, engine: str = "tensorflow") -> Engine:
    """Load a module into an engine; once a process, and nothing of it pickles.

    Raises:
        ModuleUnavailable: TensorFlow cannot load the folder.
        ModuleMismatch: the module is not what the catalogue says of its variant.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r} is not known; it must be one of {', '.join(ENGINES)}")
    file, _, name = ENGINES[engine].partition(":")
    loaded: Engine = getattr(importlib.import_module(file), name).load(module)
    return loaded
