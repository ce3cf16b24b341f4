"""What every engine is, and how one is chosen and loaded."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, Self, get_args

import numpy as np
from numpy.typing import NDArray

from index.errors import EngineUnavailable, UsageError
from index.vector_space import VectorSpace
from transforms.engines.input_check import check_images
from transforms.module_store import ModuleFolder
from transforms.variants import Variant

Precision = Literal["float32", "bfloat16"]
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
AUTO: Final = "auto"

# Where each engine is; importing it is what makes it heavy.
ENGINES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tensorflow": "transforms.engines.tensorflow_engine:TensorFlowEngine",
        "litert": "transforms.engines.litert_engine:LiteRTEngine",
        "openvino": "transforms.engines.openvino_engine:OpenVINOEngine",
    }
)
# What `auto` tries, fastest first; docs/decisions/0008 has the measurements.
FASTEST: Final[Mapping[Precision, tuple[str, ...]]] = MappingProxyType(
    {"float32": ("litert", "openvino", "tensorflow"), "bfloat16": ("openvino",)}
)


@dataclass(frozen=True)
class EngineSettings:
    """How a module is run.

    Attributes:
        engine: the name of an engine, or "auto" for the fastest that is installed and sound.
        precision: of the arithmetic; vectors are float32 all the same.
        batch_size: images a call of the module; None for what the engine does best.
        threads: how many will call the engine at once.
    """

    engine: str = AUTO
    precision: Precision = "float32"
    batch_size: int | None = None
    threads: int = 1


class Engine(Protocol):
    """A loaded module: images in, vectors out; any thread may call it, several at once.

    Attributes:
        name: the engine's.
        precision: of its arithmetic.
        batch_size: images a call of the module.
        variant: the module's, with everything the catalogue or the signature says filled in.
        space: what the vectors mean.
        worst_cosine: the least cosine of its self-check to TensorFlow's vectors; None for
            TensorFlow itself.
        passed_over: why each faster engine is not this one.
        copies: of the model in this process.
        memory_bytes: about what they hold, by what was measured on MobileNets.
    """

    name: str
    precision: str
    batch_size: int
    variant: Variant
    space: VectorSpace
    worst_cosine: float | None
    passed_over: tuple[str, ...]
    copies: int
    memory_bytes: int

    @classmethod
    def load(cls, module: ModuleFolder, settings: EngineSettings) -> Self:
        """Load a module; EngineUnavailable where this engine cannot run it."""
        ...

    def embed(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors of images.

        Args:
            images: uint8 [batch, height, width, 3], or float in [0, 1] of that shape; RGB.

        Returns:
            float32 [batch, dim].

        Raises:
            InvalidInput: the module must not be given these images.
        """
        checked = check_images(images, self.space.input_size)
        starts = range(0, len(checked), self.batch_size)
        return np.concatenate([self.run(checked[at : at + self.batch_size]) for at in starts])

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """One call of the module: float32 [batch, height, width, 3] in [0, 1] -> [batch, dim]."""
        ...


def load_engine(module: ModuleFolder, settings: EngineSettings | None = None) -> Engine:
    """Load a module into the engine that is asked for, or the fastest; nothing of it pickles.

    Raises:
        ModuleUnavailable: TensorFlow cannot load the folder.
        ModuleMismatch: the module is not what the catalogue says of its variant.
        EngineUnavailable: the engine is not installed, or does not run this module rightly.
        UsageError: an engine or a precision that is not known.
    """
    settings = settings or EngineSettings()
    if settings.precision not in PRECISIONS:
        raise UsageError(
            f"precision {settings.precision!r} is not known; it must be {' or '.join(PRECISIONS)}"
        )
    if settings.engine not in (AUTO, *ENGINES):
        raise UsageError(
            f"engine {settings.engine!r} is not known; it must be one of {AUTO}, {', '.join(ENGINES)}"
        )
    able = FASTEST[settings.precision]
    if settings.engine not in (AUTO, *able):
        raise UsageError(
            f"engine {settings.engine!r} does not compute in {settings.precision}; "
            f"{', '.join(able)} can"
        )
    if settings.engine != AUTO:
        return load_once(module, settings)
    passed_over: list[str] = []
    for name in able:
        try:
            engine = load_once(module, dataclasses.replace(settings, engine=name))
        except EngineUnavailable as error:
            passed_over.append(str(error))
        else:
            engine.passed_over = tuple(dict.fromkeys(passed_over))
            return engine
    raise EngineUnavailable("; ".join(dict.fromkeys(passed_over)))


@lru_cache(maxsize=32)
def load_once(module: ModuleFolder, settings: EngineSettings) -> Engine:
    """Load a module into the engine that is named; once a process."""
    file, _, kind = ENGINES[settings.engine].partition(":")
    engine_class: type[Engine] = getattr(importlib.import_module(file), kind)
    return engine_class.load(module, settings)
