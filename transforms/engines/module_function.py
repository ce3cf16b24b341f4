"""A module folder -> the TensorFlow function in it that maps images to vectors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from index.errors import ModuleMismatch, ModuleUnavailable, first_line
from transforms.engines.hub_attachments import attached_image_size
from transforms.engines.module_facts import ModuleFacts
from transforms.module_store import ModuleFolder
from transforms.quiet_libraries import quiet_import
from transforms.variants import Output

with quiet_import():
    import tensorflow as tf
    import tensorflow_hub as hub


@dataclass(frozen=True)
class ModuleFunction:
    """The function of a module that maps images to vectors.

    Attributes:
        call: float32 tensor [batch, height, width, 3] -> float32 tensor [batch, dim].
        facts: what the module says of itself.
        owner: what keeps the function's variables alive.
    """

    call: Callable[[Any], Any]
    facts: ModuleFacts
    owner: Any


@dataclass(frozen=True)
class _Found:
    """A function as its module declares it, before it was called."""

    call: Callable[[Any], Any]
    signature: str
    input_shape: str
    input_size: tuple[int, int] | None
    output: Output


def keep_to_one_thread() -> None:
    """Let a call compute on the thread that makes it: there is one a core already.

    To be said before TensorFlow first computes in a process; later it changes nothing. One thread
    between operations, too, would run all calls of a process one after the other.
    """
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def load_function(module: ModuleFolder) -> ModuleFunction:
    """Load a module folder of either format.

    Raises:
        ModuleUnavailable: TensorFlow cannot load the folder.
        ModuleMismatch: it holds no function from pictures to vectors, or does not say their size.
    """
    try:
        loaded = hub.load(module.path)
    except Exception as error:  # OSError, ValueError, tf.errors.*, protobuf's DecodeError
        raise ModuleUnavailable(
            f"module {module.variant.handle!r}: TensorFlow cannot load {module.path} "
            f"({type(error).__name__}: {first_line(error)}); restore the folder or fetch it again"
        ) from error
    found = (_hub_function if module.format == "hub" else _saved_model_function)(module, loaded)
    size = found.input_size or module.variant.input_size
    if size is None:
        raise ModuleMismatch(
            f"module {module.variant.handle!r} does not say what image size it takes: its input is "
            f"{found.input_shape}; save it with a fixed [None, height, width, 3] input"
        )
    facts = ModuleFacts(
        signature=found.signature,
        input_size=size,
        output=found.output,
        width=_probe(module, found, size),
    )
    return ModuleFunction(found.call, facts, loaded)


def _hub_function(module: ModuleFolder, loaded: Any) -> _Found:
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
    return _Found(
        call=signature.prune(placeholder, signature.structured_outputs["default"]),
        signature="default",
        input_shape=str(images.shape),
        input_size=_size_of(images.shape) or attached_image_size(module.path),
        output="logits" if "image_classification" in loaded.signatures else "feature_vector",
    )


def _saved_model_function(module: ModuleFolder, loaded: Any) -> _Found:
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
    return _Found(
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


def _probe(module: ModuleFolder, function: _Found, size: tuple[int, int]) -> int:
    """The width of the vector that a black image gives; ModuleMismatch where it gives none."""
    expected = (
        f"an image module takes float32 [batch, {size[0]}, {size[1]}, 3] and gives [batch, width]"
    )
    try:
        vectors = np.asarray(function.call(tf.zeros((1, *size, 3))))
    except Exception as error:  # TypeError, ValueError, tf.errors.*: whatever its graph objects to
        raise ModuleMismatch(
            f"module {module.variant.handle!r} does not take a picture "
            f"({type(error).__name__}: {first_line(error)}); {expected}"
        ) from error
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise ModuleMismatch(
            f"module {module.variant.handle!r} gives {vectors.dtype} {vectors.shape} for one picture; "
            f"{expected}"
        )
    return int(vectors.shape[1])
