"""Engines other than TensorFlow: their vectors, their self-check, and what is kept of a conversion."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from index.errors import EngineUnavailable, UsageError
from pipelines.embed_images import EmbedImages
from pipelines.job import flags_of
from tests.authored_modules import save_hub_module, save_tf2_signature_module
from tests.conftest import TINY_SIZE, TINY_WIDTH, shared
from transforms.engines import converted_module as conversions
from transforms.engines import litert_engine, self_check
from transforms.engines.converted_module import converted_module
from transforms.engines.engine import (
    AUTO,
    ENGINES,
    PRECISIONS,
    EngineSettings,
    load_engine,
    load_once,
)
from transforms.engines.self_check import check_engine, probe_pictures, worst_cosine
from transforms.module_store import ModuleStore, own_cache
from transforms.variants import VARIANTS, Variant

FAST = ["litert", "openvino"]


def module_of(folder, name="tiny"):
    return ModuleStore().locate(Variant(name, str(folder)))


def engine_of(folder, engine, **settings):
    if engine == "openvino":
        pytest.importorskip("openvino")
    return load_engine(module_of(folder), EngineSettings(engine, **settings))


def images(count=5, size=(TINY_SIZE, TINY_SIZE)):
    return np.random.default_rng(0).random((count, *size, 3), np.float32)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """No engine loaded, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_once.cache_clear()
    yield
    load_once.cache_clear()


@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("batch_size", [None, 2, 8])
@pytest.mark.parametrize("module", ["tiny_tf2", "tiny_hub"])
def test_a_fast_engine_gives_the_vectors_of_tensorflow(request, module, engine, batch_size):
    folder = request.getfixturevalue(module)
    fast = engine_of(folder, engine, batch_size=batch_size, threads=2)
    reference = engine_of(folder, "tensorflow")
    assert (fast.name, fast.precision) == (engine, "float32")
    assert fast.worst_cosine >= 0.9999
    assert reference.worst_cosine is None
    assert (fast.space, fast.variant) == (reference.space, reference.variant)
    for count in (1, 5, 8):
        assert np.allclose(fast.embed(images(count)), reference.embed(images(count)), atol=1e-4)


@pytest.mark.parametrize("engine", ["tensorflow", *FAST])
def test_many_threads_may_call_an_engine_at_once(tiny_tf2, engine):
    loaded = engine_of(tiny_tf2, engine, threads=4)
    pictures = images(64)
    alone = loaded.embed(pictures)
    with ThreadPoolExecutor(4) as threads:
        pieces = [pictures[at : at + 1 + at % 3] for at in range(0, 60, 3)]
        together = list(threads.map(loaded.embed, pieces * 5))
    for piece, vectors in zip(range(len(together)), together, strict=True):
        at = 3 * (piece % len(pieces))
        assert np.allclose(vectors, alone[at : at + len(vectors)], atol=1e-4)


@pytest.mark.parametrize("engine", FAST)
def test_other_forms_of_modules_are_converted(engine, tmp_path):
    logits = save_hub_module(tmp_path / "c", 32, 24, classes=11)
    open_size = save_hub_module(tmp_path / "o", 0, 24, attached_size=(40, 48))
    signature = save_tf2_signature_module(tmp_path / "s", TINY_SIZE, TINY_WIDTH)
    assert engine_of(logits, engine).embed(images()).shape == (5, 11)
    assert engine_of(open_size, engine).embed(images(2, (40, 48))).shape == (2, 24)
    assert engine_of(signature, engine).space.signature == "serving_default"


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1_025_128",
        pytest.param("mobilenet_v2_100_224", marks=pytest.mark.slow),
    ],
)
def test_real_modules_of_both_formats_agree_in_every_engine(name):
    pytest.importorskip("openvino")
    modules = shared("modules")
    pictures = probe_pictures(VARIANTS[name].input_size)
    folders = [modules / name / "feature_vector", modules / f"tf1_format_{name}/feature_vector"]
    vectors = [
        engine_of(folder, engine).embed(pictures) for folder in folders for engine in ENGINES
    ]
    for other in vectors[1:]:
        assert np.abs(other - vectors[0]).max() < 1e-4


def test_auto_takes_the_fastest(tiny_tf2):
    assert engine_of(tiny_tf2, AUTO).name == "litert"
    assert engine_of(tiny_tf2, AUTO).passed_over == ()


def test_auto_passes_over_an_engine_that_gives_other_vectors(fresh, tiny_tf2, monkeypatch):
    run = litert_engine.LiteRTEngine.run
    monkeypatch.setattr(litert_engine.LiteRTEngine, "run", lambda self, x: run(self, x[:, ::-1]))
    engine = engine_of(tiny_tf2, AUTO)
    assert engine.name != "litert"
    assert "litert in float32 does not give TensorFlow's vectors" in engine.passed_over[0]
    with pytest.raises(EngineUnavailable, match=r"at least 0\.9999 is asked"):
        engine_of(tiny_tf2, "litert")


def test_auto_passes_over_an_engine_that_fails(fresh, tiny_tf2, monkeypatch):
    def failing(self, images):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(litert_engine.LiteRTEngine, "run", failing)
    assert "no such operation" in engine_of(tiny_tf2, AUTO).passed_over[0]


def test_a_module_with_assertions_stays_with_tensorflow(fussy_module):
    engine = engine_of(fussy_module, AUTO)
    assert engine.name == "tensorflow"
    [reason] = engine.passed_over  # the same for both fast engines: once
    assert "asserts" in reason


def test_tensorflow_computes_on_the_thread_that_calls_it(fussy_module):
    """Also where it is a fallback, and has run already to be converted."""
    script = f"""
from transforms.engines.engine import load_engine
from transforms.module_store import ModuleStore
from transforms.variants import Variant
engine = load_engine(ModuleStore().locate(Variant("v", {str(fussy_module)!r})))
import tensorflow as tf
threading = tf.config.threading
print(engine.name, threading.get_intra_op_parallelism_threads())
print(threading.get_inter_op_parallelism_threads())  # 0: as many as there are cores
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["tensorflow", "1", "0"]


def test_an_engine_that_is_not_installed_says_how_to_install_it(fresh, tiny_tf2, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "transforms.engines.openvino_engine", raising=False)
    with pytest.raises(EngineUnavailable, match=r"pip install 'lookalike\[openvino\]'"):
        load_engine(module_of(tiny_tf2), EngineSettings("openvino"))


def test_bfloat16_is_computed_or_refused_by_what_the_processor_has(fresh, tiny_tf2):
    openvino = pytest.importorskip("openvino")
    settings = EngineSettings(AUTO, "bfloat16")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        engine = load_engine(module_of(tiny_tf2), settings)
        assert (engine.name, engine.precision) == ("openvino", "bfloat16")
        assert 0.995 <= engine.worst_cosine <= 1
    else:
        with pytest.raises(EngineUnavailable, match="processor does not compute in bfloat16"):
            load_engine(module_of(tiny_tf2), settings)


def test_only_openvino_computes_in_bfloat16(tiny_tf2):
    for engine in ("tensorflow", "litert"):
        with pytest.raises(UsageError, match="bfloat16; openvino can"):
            load_engine(module_of(tiny_tf2), EngineSettings(engine, "bfloat16"))
    with pytest.raises(UsageError, match="precision 'float8'"):
        load_engine(module_of(tiny_tf2), EngineSettings(precision="float8"))


def test_the_command_line_offers_the_engines_there_are():
    flags = flags_of(EmbedImages)
    assert set(flags["engine"][1].choices) == {AUTO, *ENGINES}
    assert flags["precision"][1].choices == PRECISIONS


def test_a_module_is_converted_once(fresh, tiny_tf2, monkeypatch):
    first = converted_module(module_of(tiny_tf2))
    monkeypatch.setattr(conversions, "_convert", lambda module: pytest.fail("converted again"))
    again = converted_module(module_of(tiny_tf2, "another_name"))
    assert (again.model, again.facts) == (first.model, first.facts)
    assert np.array_equal(again.reference, first.reference)


@pytest.mark.parametrize("damage", ["model.tflite", "reference.npy", "conversion.json"])
def test_a_damaged_conversion_is_made_again(fresh, tiny_tf2, damage):
    first = converted_module(module_of(tiny_tf2))
    [file] = (own_cache() / "converted").glob(f"*/{damage}")
    file.write_bytes(file.read_bytes()[:-7])
    assert converted_module(module_of(tiny_tf2)).facts == first.facts
    assert len(file.read_bytes()) > 7
    assert np.array_equal(converted_module(module_of(tiny_tf2)).reference, first.reference)


def test_a_cache_that_cannot_be_written_costs_only_time(tiny_tf2, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert converted_module(module_of(tiny_tf2)).facts.width == TINY_WIDTH


def test_what_is_no_folder_in_the_cache_is_replaced(fresh, tiny_tf2):
    converted_module(module_of(tiny_tf2))
    [folder] = (own_cache() / "converted").iterdir()
    shutil.rmtree(folder)
    folder.write_text("in the way")
    converted_module(module_of(tiny_tf2))
    assert folder.is_dir()


def test_a_user_without_a_home_has_no_cache(tiny_tf2, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", raise_no_home)
    with pytest.raises(OSError, match="XDG_CACHE_HOME"):
        own_cache()
    assert converted_module(module_of(tiny_tf2)).facts.width == TINY_WIDTH


def raise_no_home():
    raise RuntimeError("Could not determine home directory.")


def test_other_weights_are_another_conversion(fresh, tiny_tf2, tiny_hub):
    for folder in (tiny_tf2, tiny_hub):
        converted_module(module_of(folder))
    assert len(list((own_cache() / "converted").iterdir())) == 2


def test_the_worst_cosine_is_of_the_worst_row():
    vectors = np.array([[1, 0], [0, 0], [1, 1]], np.float32)
    assert worst_cosine(vectors, vectors) == pytest.approx(1)
    other = np.array([[1, 0], [0, 0], [1, 0]], np.float32)
    assert worst_cosine(vectors, other) == pytest.approx(0.7071, abs=1e-4)
    assert worst_cosine(vectors, np.eye(3, 2, dtype=np.float32)) == 0
    for factor in (1e-27, 1e27):  # whose squares float32 does not hold
        assert worst_cosine(vectors * np.float32(factor), vectors) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [np.nan, 0.0])
def test_vectors_without_a_direction_do_not_pass(wrong):
    size = (8, 8)
    reference = np.ones((self_check.PROBES, 4), np.float32)
    with pytest.raises(EngineUnavailable, match="worst cosine"):
        check_engine("e", "float32", lambda x: np.full((1, 4), wrong, np.float32), size, reference)


def test_probe_pictures_are_pictures_and_always_the_same():
    pictures = probe_pictures((40, 30))
    assert pictures.shape == (self_check.PROBES, 40, 30, 3)
    assert 0 <= pictures.min() < 0.1
    assert 0.9 < pictures.max() <= 1
    assert np.array_equal(pictures, probe_pictures((40, 30)))
