"""A module folder -> one float32 LiteRT model, converted once and kept in the user's cache.

Both fast engines run it. TensorFlow is imported for the conversion alone: a worker that finds the
model in the cache never loads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from index.errors import EngineUnavailable, first_line
from transforms.engines.module_facts import ModuleFacts
from transforms.engines.self_check import probe_pictures
from transforms.module_store import ModuleFolder, own_cache
from transforms.quiet_libraries import held_stderr, quiet_import

CONVERSION: Final = 1  # to be raised when what is stored, or how it is made, changes
_MODEL: Final = "model.tflite"
_REFERENCE: Final = "reference.npy"
_RECORD: Final = "conversion.json"
_refused: dict[str, EngineUnavailable] = {}  # in this process: both fast engines would ask


@dataclass(frozen=True)
class ConvertedModule:
    """A module as a LiteRT model.

    Attributes:
        model: the bytes of the model: float32 [batch, height, width, 3] -> float32 [batch, dim].
        reference: float32 [PROBES, dim], TensorFlow's vectors of the probe pictures.
        facts: what the module says of itself.
    """

    model: bytes
    reference: NDArray[np.float32]
    facts: ModuleFacts


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    facts: ModuleFacts
    sha256: dict[str, str]  # by file name


def converted_module(module: ModuleFolder) -> ConvertedModule:
    """The converted module, from the cache or made now.

    Raises:
        ModuleUnavailable: TensorFlow cannot load the folder.
        ModuleMismatch: it is not an image module.
        EngineUnavailable: LiteRT has no counterpart of something in it.
    """
    key = _key(module)
    with contextlib.suppress(OSError):  # a cache that cannot be read or written costs only time
        if (found := _read(own_cache() / "converted" / key)) is not None:
            return found
    if key in _refused:
        raise _refused[key]
    try:
        converted = _convert(module)
    except EngineUnavailable as error:
        _refused[key] = error
        raise
    with contextlib.suppress(OSError):
        _write(own_cache() / "converted" / key, converted)
    return converted


def _key(module: ModuleFolder) -> str:
    """What a conversion depends on: the weights, the size where the catalogue sets it, TensorFlow."""
    versions = f"{CONVERSION} {metadata.version('tensorflow')}"
    asked = f"{module.fingerprint} {module.variant.input_size} {versions}"
    return hashlib.sha256(asked.encode()).hexdigest()


def _read(folder: Path) -> ConvertedModule | None:
    """What the cache holds; None where that is nothing, or not what was written."""
    try:
        record = _Record.model_validate_json((folder / _RECORD).read_bytes())
        files = {name: (folder / name).read_bytes() for name in (_MODEL, _REFERENCE)}
    except (OSError, ValidationError):
        return None
    if record.sha256 != _checksums(files):
        return None
    reference = np.load(io.BytesIO(files[_REFERENCE]), allow_pickle=False)
    return ConvertedModule(files[_MODEL], reference, record.facts)


def _write(folder: Path, converted: ConvertedModule) -> None:
    """Write beside the folder and rename, so that nobody finds half a model."""
    reference = io.BytesIO()
    np.save(reference, converted.reference, allow_pickle=False)
    files = {_MODEL: converted.model, _REFERENCE: reference.getvalue()}
    record = _Record(facts=converted.facts, sha256=_checksums(files))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder.parent) as scratch:
        made = Path(scratch) / "module"
        made.mkdir()
        for name, data in files.items():
            (made / name).write_bytes(data)
        (made / _RECORD).write_text(record.model_dump_json(indent=2))
        try:
            made.rename(folder)
        except OSError:  # a damaged one is there, or another process was first
            if _read(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
                folder.unlink(missing_ok=True)  # where it is no folder at all
                made.rename(folder)


def _checksums(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _convert(module: ModuleFolder) -> ConvertedModule:
    from transforms.engines.module_function import keep_to_one_thread, load_function

    with quiet_import():
        import tensorflow as tf

    keep_to_one_thread()
    function = load_function(module)
    size = function.facts.input_size
    images = tf.TensorSpec((None, *size, 3), tf.float32, "images")
    try:
        with held_stderr(show_on_error=False):
            # The probes first: a module that refuses a picture cannot be checked, nor trusted here.
            reference = np.asarray(function.call(tf.constant(probe_pictures(size))))
            graph = tf.function(function.call, input_signature=[images]).get_concrete_function()
            _refuse_assertions(graph.graph.as_graph_def())
            converter = tf.lite.TFLiteConverter.from_concrete_functions([graph], function.owner)
            model = converter.convert()
    except EngineUnavailable:
        raise
    except Exception as error:  # the converter and the module's own operations raise what they like
        raise EngineUnavailable(
            f"module {module.variant.handle!r} cannot be converted for LiteRT "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
    return ConvertedModule(model, reference.astype(np.float32), function.facts)


def _refuse_assertions(graph: Any) -> None:
    """LiteRT leaves assertions out: a picture that the module refuses would get a vector."""
    functions = [node for function in graph.library.function for node in function.node_def]
    if any(node.op == "Assert" for node in [*graph.node, *functions]):
        raise EngineUnavailable(
            "the module asserts something of its pictures, which a conversion to LiteRT would leave out"
        )
