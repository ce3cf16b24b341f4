"""The module converted to LiteRT and run through XNNPACK, one interpreter a thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from index.vector_space import VectorSpace
from transforms.engines.converted_module import converted_module
from transforms.engines.engine import Engine, EngineSettings
from transforms.engines.module_facts import complete_variant
from transforms.engines.self_check import check_engine
from transforms.module_store import ModuleFolder
from transforms.quiet_libraries import held_stderr
from transforms.variants import Variant

BATCH_SIZE: Final = 1  # a picture's arrays stay in the cache of the core that computes it


@dataclass
class LiteRTEngine(Engine):
    """A converted module; every thread has an interpreter of its own, which uses that thread alone."""

    variant: Variant
    space: VectorSpace
    batch_size: int
    model: bytes
    copies: int
    memory_bytes: int
    worst_cosine: float | None = None
    name: str = "litert"
    precision: str = "float32"
    passed_over: tuple[str, ...] = ()
    _own: threading.local = field(default_factory=threading.local)

    @classmethod
    def load(cls, module: ModuleFolder, settings: EngineSettings) -> Self:
        """Convert the module, or take it from the cache, and check what it gives."""
        converted = converted_module(module)
        variant = complete_variant(module, converted.facts)
        space = module.vector_space(variant, converted.facts.signature)
        batch_size = settings.batch_size or BATCH_SIZE
        engine = cls(
            variant,
            space,
            batch_size,
            converted.model,
            copies=settings.threads,
            # The model itself, and of each copy its weights packed for the processor and its arrays.
            memory_bytes=len(converted.model) * (1 + 3 * settings.threads),
        )
        with held_stderr(show_on_error=False):  # XNNPACK announces itself, once a process
            engine.worst_cosine = check_engine(
                engine.name, settings.precision, engine.run, space.input_size, converted.reference
            )
        engine._own = threading.local()  # the thread that loads need not be one that works
        return engine

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """One call of the module: [batch, height, width, 3] -> [batch, dim]."""
        interpreter = self._interpreter(len(images))
        interpreter.set_tensor(self._own.input, images)
        interpreter.invoke()
        vectors: NDArray[np.float32] = interpreter.get_tensor(self._own.output)
        return vectors

    def _interpreter(self, batch: int) -> Any:
        """This thread's interpreter, set to a batch of this many images."""
        own = self._own
        if not hasattr(own, "interpreter"):
            own.interpreter = Interpreter(model_content=self.model, num_threads=1)
            own.input = own.interpreter.get_input_details()[0]["index"]
            own.output = own.interpreter.get_output_details()[0]["index"]
            own.batch = 0
        if own.batch != batch:
            own.interpreter.resize_tensor_input(own.input, [batch, *self.space.input_size, 3])
            own.interpreter.allocate_tensors()
            own.batch = batch
        return own.interpreter
