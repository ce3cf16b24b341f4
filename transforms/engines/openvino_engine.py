"""The converted module run by OpenVINO, in float32 or, where the processor has it, bfloat16."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from index.errors import EngineUnavailable, last_line
from index.vector_space import VectorSpace
from transforms.engines.converted_module import converted_module
from transforms.engines.engine import Engine, EngineSettings
from transforms.engines.module_facts import complete_variant
from transforms.engines.self_check import check_engine
from transforms.module_store import ModuleFolder
from transforms.variants import Variant

try:
    import openvino
except ImportError as error:
    raise EngineUnavailable(
        "engine openvino is not installed; pip install 'lookalike[openvino]'"
    ) from error

BATCH_SIZE: Final = 1
LIBRARY_BYTES: Final = 60 << 20
_PRECISION_HINT: Final = {"float32": "f32", "bfloat16": "bf16"}


@dataclass
class OpenVINOEngine(Engine):
    """A converted module; every thread has a request of its own, and OpenVINO a stream for each."""

    variant: Variant
    space: VectorSpace
    batch_size: int
    compiled: Any
    precision: str
    memory_bytes: int
    copies: int = 1
    worst_cosine: float | None = None
    name: str = "openvino"
    passed_over: tuple[str, ...] = ()
    _own: threading.local = field(default_factory=threading.local)

    @classmethod
    def load(cls, module: ModuleFolder, settings: EngineSettings) -> Self:
        """Convert the module, or take it from the cache, compile it, and check what it gives."""
        core = openvino.Core()
        abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if settings.precision == "bfloat16" and "BF16" not in abilities:
            raise EngineUnavailable(
                "engine openvino: this processor does not compute in bfloat16 (it has "
                f"{', '.join(sorted(abilities))}); use --precision float32"
            )
        converted = converted_module(module)
        variant = complete_variant(module, converted.facts)
        space = module.vector_space(variant, converted.facts.signature)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "model.tflite"  # OpenVINO goes by the name of a file
            file.write_bytes(converted.model)
            try:
                compiled = core.compile_model(
                    str(file),
                    "CPU",
                    {
                        "INFERENCE_PRECISION_HINT": _PRECISION_HINT[settings.precision],
                        "NUM_STREAMS": str(settings.threads),
                        "INFERENCE_NUM_THREADS": settings.threads,
                        "ENABLE_CPU_PINNING": False,  # other workers may share the machine
                    },
                )
            except RuntimeError as error:
                raise EngineUnavailable(
                    f"engine openvino cannot run module {module.variant.handle!r}: {last_line(error)}"
                ) from error
        engine = cls(
            variant,
            space,
            settings.batch_size or BATCH_SIZE,
            compiled,
            settings.precision,
            memory_bytes=LIBRARY_BYTES + 6 * len(converted.model),
        )
        engine.worst_cosine = check_engine(
            engine.name, settings.precision, engine.run, space.input_size, converted.reference
        )
        return engine

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """One call of the module: [batch, height, width, 3] -> [batch, dim]."""
        if not hasattr(self._own, "request"):
            self._own.request = self.compiled.create_infer_request()
        # The request keeps its output array: the caller's must be a copy.
        outputs = self._own.request.infer([images], share_inputs=True, share_outputs=False)
        vectors: NDArray[np.float32] = outputs[0]
        return vectors
