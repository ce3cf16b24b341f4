"""The module as tensorflow-hub loads it: the reference engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import ModuleMismatch, ModuleUnavailable
from index.vector_space import VectorSpace
from transforms.engines.hub_attachments import attached_image_size
from transforms.engines.input_check import check_images
from transforms.module_store import ModuleFolder
from transforms.quiet_libraries import quiet_import
from transforms.variants import Output, Variant

with quiet_import():
    import tensorflow as tf
    import tensorflow_hub as hub


@dataclass(frozen=True)
class ModuleFunction:
    """The function of a module that maps images to vectors.

    Attributes:
        call: float32 tensor [batch, height, width, 3] -> float32 tensor [batch, dim].
        signature: what the module calls it.
        input_shape: as the module says, for messages.
        input_size: height and width it was written for; None where it does not say.
        output: whether it gives feature vectors or logits.
    """

    call: Callable[[Any], Any]
    signature: str
    input_shape: str
    input_size: tuple[int, int] | None
    output: Output


@dataclass(frozen=True)
class TensorFlowEngine:
    """A module run by TensorFlow; see `Engine` for the meaning of its attributes."""

    variant: Variant
    signature: str
    space: VectorSpace
    _function: ModuleFunction
    name: str = "tensorflow"

    @classmethod
    def load(cls, module: ModuleFolder) -> TensorFlowEngine:
        """Load a module folder of either format, and check it against its variant."""
        try:
            loaded = hub.load(module.path)
        except Exception as error:  # OSError, ValueError, tf.errors.*, protobuf's DecodeError
            raise ModuleUnavailable(
                f"module {module.variant.handle!r}: TensorFlow cannot load {module.path} "
                f"({type(error).__name__}: {_first_line(error)}); restore the folder or fetch it again"
            ) from error
        find_function = _hub_function if module.format == "hub" else _saved_model_function
        function = find_function(module, loaded)
        variant = _complete(module, function)
        return cls(
            variant=variant,
            signature=function.signature,
            space=module.vector_space(variant, function.signature),
            _function=function,
        )

    def embed(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors of images: [batch, height, width, 3] -> float32 [batch, dim]; see `Engine`."""
        checked = check_images(images, self.space.input_size)
        vectors: NDArray[np.float32] = self._function.call(tf.constant(checked)).numpy()
        return vectors


def _hub_function(module: ModuleFolder, loaded: Any) -> ModuleFunction:
    """The `default` signature of a module in TF1-hub format, as it stands in the graph for inference.

    The signature also returns every layer of the network; only the output asked for is kept.
    """
    if "default" not in loaded.signatures:
        raise ModuleMismatch(
            f"module {module.variant.handle!r} has no signature 'default'; "
            f"it has {', '.join(sorted(loaded.signatures)) or 'none'}"
        )
    signature = loaded.signatures["default"]
    images = signature.structured_input_signature[1].get("images")
    if images is None or "default" not in signature.structured_outputs:
        raise ModuleMismatch(
            f"module {module.variant.handle!r} is not an image module: signature 'default' takes "
            f"{sorted(signature.structured_input_signature[1])}, not 'images'"
        )
    placeholder = next(tensor for tensor in signature.inputs if tensor.op.name == images.name)
    return ModuleFunction(
        call=signature.prune(placeholder, signature.structured_outputs["default"]),
        signature="default",
        input_shape=str(images.shape),
        input_size=_size_of(images.shape) or attached_image_size(module.path),
        output="logits" if "image_classification" in loaded.signatures else "feature_vector",
    )


def _saved_model_function(module: ModuleFolder, loaded: Any) -> ModuleFunction:
    """`__call__` of a TF2 SavedModel, or its only signature where it cannot be called."""
    signatures = {
        name: function
        for name, function in loaded.signatures.items()
        if name in ("serving_default", "default") or len(loaded.signatures) == 1
    }
    if callable(loaded):
        spec = _call_spec(loaded) or _only_input(signatures)
        name, call = "__call__", loaded
        outputs = next((list(one.structured_outputs) for one in signatures.values()), [])
    elif signatures and (spec := _only_input(signatures)) is not None:
        name, function = next(iter(signatures.items()))
        outputs = list(function.structured_outputs)
        call = _keyword_call(function, next(iter(function.structured_input_signature[1])))
    else:
        raise ModuleMismatch(
            f"module {module.variant.handle!r} cannot be called and has no signature with one input; "
            f"its signatures are {', '.join(sorted(loaded.signatures)) or 'none'}"
        )
    return ModuleFunction(
        call=call,
        signature=name,
        input_shape="not declared" if spec is None else str(spec.shape),
        input_size=None if spec is None else _size_of(spec.shape),
        output="logits" if "logits" in outputs else "feature_vector",
    )


def _keyword_call(function: Any, argument: str) -> Callable[[Any], Any]:
    output = next(iter(function.structured_outputs))
    return lambda images: function(**{argument: images})[output]


def _call_spec(loaded: Any) -> Any:
    """The TensorSpec of a callable SavedModel's images; None where it does not say."""
    for function in getattr(loaded.__call__, "concrete_functions", ()):
        positional = function.structured_input_signature[0]
        if positional and isinstance(positional[0], tf.TensorSpec):
            return positional[0]
    return None


def _only_input(signatures: dict[str, Any]) -> Any:
    """The TensorSpec of the first signature's input; None where it has not just one."""
    for function in signatures.values():
        inputs = list(function.structured_input_signature[1].values())
        if len(inputs) == 1:
            return inputs[0]
    return None


def _size_of(shape: Any) -> tuple[int, int] | None:
    """Height and width of a static shape (batch, height, width, 3); None where they are open."""
    if shape.rank != 4 or shape[1] is None or shape[2] is None:
        return None
    return int(shape[1]), int(shape[2])


def _complete(module: ModuleFolder, function: ModuleFunction) -> Variant:
    """The variant with what the module says filled in; ModuleMismatch where the two disagree."""
    variant = module.variant
    output = variant.output or function.output
    size = function.input_size or variant.input_size
    if size is None:
        raise ModuleMismatch(
            f"module {variant.handle!r} does not say what image size it takes: its input is "
            f"{function.input_shape}; save it with a fixed [None, height, width, 3] input"
        )
    width = _probe(module, function, size)
    for what, expected, found in (
        ("input size", variant.input_size, size),
        ("output width", variant.output_width, width),
    ):
        if expected is not None and expected != found:
            raise ModuleMismatch(
                f"the module found for variant {variant.name!r} at {module.path} has {what} {found}, "
                f"the catalogue says {expected}; it is another module"
            )
    return dataclasses.replace(
        variant,
        output=output,
        input_size=size,
        num_features=width if output == "feature_vector" else variant.num_features,
        num_classes=width if output == "logits" else None,
        format=module.format,
    )


def _probe(module: ModuleFolder, function: ModuleFunction, size: tuple[int, int]) -> int:
    """The width of the vector that a black image gives; ModuleMismatch where it gives none."""
    expected = (
        f"an image module takes float32 [batch, {size[0]}, {size[1]}, 3] and gives [batch, width]"
    )
    try:
        vectors = np.asarray(function.call(tf.zeros((1, *size, 3))))
    except Exception as error:  # TypeError, ValueError, tf.errors.*: whatever its graph objects to
        raise ModuleMismatch(
            f"module {module.variant.handle!r} does not take a picture "
            f"({type(error).__name__}: {_first_line(error)}); {expected}"
        ) from error
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise ModuleMismatch(
            f"module {module.variant.handle!r} gives {vectors.dtype} {vectors.shape} for one picture; "
            f"{expected}"
        )
    return int(vectors.shape[1])


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else "no message"
