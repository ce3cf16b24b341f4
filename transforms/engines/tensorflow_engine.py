"""The module as tensorflow-hub loads it: the reference engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from index.vector_space import VectorSpace
from transforms.engines.engine import Engine, EngineSettings
from transforms.engines.module_facts import complete_variant
from transforms.engines.module_function import ModuleFunction, keep_to_one_thread, load_function
from transforms.module_store import ModuleFolder
from transforms.quiet_libraries import quiet_import
from transforms.variants import Variant

with quiet_import():
    import tensorflow as tf

BATCH_SIZE: Final = 8  # beyond it the arrays between layers leave the cache
MEMORY_BYTES: Final = 850 << 20  # TensorFlow itself, for the most part


@dataclass
class TensorFlowEngine(Engine):
    """A module run by TensorFlow."""

    variant: Variant
    space: VectorSpace
    batch_size: int
    function: ModuleFunction
    name: str = "tensorflow"
    precision: str = "float32"
    worst_cosine: float | None = None  # it is what the others are compared with
    passed_over: tuple[str, ...] = ()
    copies: int = 1
    memory_bytes: int = MEMORY_BYTES

    @classmethod
    def load(cls, module: ModuleFolder, settings: EngineSettings) -> Self:
        """Load a module folder of either format, and check it against its variant."""
        keep_to_one_thread()
        function = load_function(module)
        variant = complete_variant(module, function.facts)
        space = module.vector_space(variant, function.facts.signature)
        return cls(variant, space, settings.batch_size or BATCH_SIZE, function)

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """One call of the module: [batch, height, width, 3] -> [batch, dim]."""
        vectors: NDArray[np.float32] = self.function.call(tf.constant(images)).numpy()
        return vectors
