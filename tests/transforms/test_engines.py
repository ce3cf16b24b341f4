import shutil

import numpy as np
import pytest

from index.errors import InvalidInput, ModuleMismatch, ModuleUnavailable, UsageError
from tests.authored_modules import (
    Weights,
    save_hub_module,
    save_tf2_module,
    save_tf2_signature_module,
)
from tests.conftest import TINY_SIZE, TINY_WIDTH, shared
from transforms.engines.engine import EngineSettings, load_engine
from transforms.engines.hub_attachments import attached_image_size
from transforms.engines.input_check import check_images
from transforms.module_store import ModuleStore
from transforms.variants import VARIANTS, Variant

SIZE = (TINY_SIZE, TINY_SIZE)


def engine_of(folder, name="tiny"):
    return load_engine(ModuleStore().locate(Variant(name, str(folder))))


def images(count=5, size=SIZE):
    return np.random.default_rng(0).random((count, *size, 3), np.float32)


def test_a_module_gives_the_vectors_its_weights_say(tiny_tf2):
    engine = engine_of(tiny_tf2)
    weights, batch = Weights(TINY_WIDTH, 0), images()
    expected = weights.network(batch, weights.kernel, weights.dense).numpy()
    vectors = engine.embed(batch)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, atol=1e-5)


def test_both_formats_of_the_same_weights_give_the_same_vectors(tiny_tf2, tiny_hub):
    assert np.allclose(
        engine_of(tiny_tf2).embed(images()), engine_of(tiny_hub).embed(images()), atol=1e-5
    )


def test_the_graph_for_training_is_never_taken(tiny_hub):
    engine = engine_of(tiny_hub)
    assert np.array_equal(engine.embed(images()), engine.embed(images()))
    alone, together = engine.embed(images(1)), engine.embed(images(5))[:1]
    assert np.allclose(alone, together, atol=1e-5)


def test_size_and_width_are_read_from_the_signature(tiny_tf2, tiny_hub, tmp_path):
    signature_only = save_tf2_signature_module(tmp_path / "s", TINY_SIZE, TINY_WIDTH)
    for folder, signature in (
        (tiny_tf2, "__call__"),
        (tiny_hub, "default"),
        (signature_only, "serving_default"),
    ):
        engine = engine_of(folder)
        assert engine.variant.input_size == SIZE
        assert (engine.variant.output, engine.variant.output_width) == ("feature_vector", 24)
        assert engine.space.signature == signature
        assert engine.embed(images()).shape == (5, TINY_WIDTH)


def test_a_classification_module_gives_logits(tmp_path):
    engine = engine_of(save_hub_module(tmp_path / "c", 32, 24, classes=11))
    assert (engine.variant.output, engine.variant.num_classes) == ("logits", 11)
    assert engine.embed(images()).shape == (5, 11)


def test_an_open_size_is_read_from_the_attachment(tmp_path):
    engine = engine_of(save_hub_module(tmp_path / "m", 0, 24, attached_size=(40, 48)))
    assert engine.variant.input_size == (40, 48)
    assert engine.embed(images(2, (40, 48))).shape == (2, TINY_WIDTH)


def test_a_size_that_nothing_says_is_asked_for(tmp_path):
    open_module = save_hub_module(tmp_path / "m", 0, 24, attached_size=(0, 0))
    with pytest.raises(ModuleMismatch, match="does not say what image size"):
        engine_of(open_module)


def test_real_modules_carry_their_size_as_an_attachment():
    folder = shared("modules") / "tf1_format_mobilenet_v2_100_224/feature_vector"
    assert attached_image_size(str(folder)) == (224, 224)


def test_bytes_and_fractions_are_the_same_images(tiny_tf2):
    engine = engine_of(tiny_tf2)
    pixels = (images() * 255).astype(np.uint8)
    assert np.array_equal(engine.embed(pixels), engine.embed(pixels / np.float32(255)))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (images(3)[0], "rank 3"),
        (images(3)[None], "rank 5"),
        (images(3, (31, 32)), r"31 x 32 pixels .* takes 32 x 32"),
        (images(3, (64, 64)), "64 x 64"),
        (images(3)[..., :1], "1 channels"),
        (np.concatenate([images(3)] * 2, axis=3)[..., :4], "4 channels"),
        (images(0), "the batch is empty"),
        (images(3) * 255, r"divide by 255"),
        (images(3) - 0.5, r"must be in \[0, 1\]"),
        (images(3) * np.float32("nan"), "nan"),
        (images(3) * np.float32("inf"), "inf"),
        ((images(3) * 255).astype(np.int32), "int32"),
        (images(3).astype(str), "dtype <U"),
        (images(3).astype(bool), "bool"),
        (images(3).tolist(), "list"),
        (None, "NoneType"),
    ],
)
@pytest.mark.parametrize("module", ["tiny_tf2", "tiny_hub"])
def test_what_must_not_reach_the_module_is_refused(request, module, batch, message):
    engine = engine_of(request.getfixturevalue(module))
    with pytest.raises(InvalidInput, match=message):
        engine.embed(batch)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_floats_are_taken(kind):
    assert check_images(images().astype(kind), SIZE).dtype == np.float32


def test_a_module_that_is_not_its_variant_is_refused_with_both_values(tmp_path):
    wrong_size = save_tf2_module(tmp_path / "s/mobilenet_v2_035_96", 128, 1280)
    wrong_width = save_tf2_module(tmp_path / "w/mobilenet_v2_035_96", 96, 1001)
    for folder, message in (
        (wrong_size, r"input size \(128, 128\), the catalogue says \(96, 96\)"),
        (wrong_width, "output width 1001, the catalogue says 1280"),
    ):
        module = ModuleStore(str(folder.parent)).locate(VARIANTS["mobilenet_v2_035_96"])
        with pytest.raises(ModuleMismatch, match=message):
            load_engine(module)


def test_a_catalogue_variant_may_be_held_in_the_other_format(tmp_path):
    save_tf2_module(tmp_path / "mobilenet_v2_035_96", 96, 1280)
    engine = load_engine(ModuleStore(str(tmp_path)).locate(VARIANTS["mobilenet_v2_035_96"]))
    assert engine.variant.format == "saved_model_2"
    assert engine.space.variant == "mobilenet_v2_035_96"


@pytest.mark.parametrize("kind", ["gray", "bytes", "dictionary", "text"])
def test_a_module_that_takes_no_pictures_is_refused(tmp_path, kind):
    import tensorflow as tf

    shape, dtype = {
        "gray": ((None, 28, 28, 1), tf.float32),
        "bytes": ((None, 28, 28, 3), tf.uint8),
        "dictionary": ((None, 28, 28, 3), tf.float32),
        "text": ((None,), tf.string),
    }[kind]

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(shape, dtype)])
        def __call__(self, x):
            if kind == "text":
                return tf.zeros((tf.shape(x)[0], 4))
            flat = tf.reduce_mean(tf.cast(x, tf.float32), axis=[1, 2])
            return {"a": flat} if kind == "dictionary" else flat

    tf.saved_model.save(Module(), str(tmp_path))
    with pytest.raises(ModuleMismatch, match=r"does not take a picture|gives|does not say"):
        engine_of(tmp_path)


def test_a_module_that_tensorflow_cannot_load_is_named(tiny_tf2, tmp_path):
    shutil.copytree(tiny_tf2, tmp_path / "bad")
    (tmp_path / "bad/saved_model.pb").write_bytes(b"not a protobuf at all")
    with pytest.raises(ModuleUnavailable, match="TensorFlow cannot load"):
        engine_of(tmp_path / "bad")


def test_an_unknown_engine_is_refused(tiny_tf2):
    module = ModuleStore().locate(Variant("tiny", str(tiny_tf2)))
    with pytest.raises(UsageError, match="tensorflow"):
        load_engine(module, EngineSettings("abacus"))


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_025_128", pytest.param("mobilenet_v2_100_224", marks=pytest.mark.slow)]
)
def test_real_weights_agree_between_formats(name):
    modules = shared("modules")
    size = VARIANTS[name].input_size
    tf2 = load_engine(ModuleStore(str(modules)).locate(VARIANTS[name]))
    tf1 = engine_of(modules / f"tf1_format_{name}/feature_vector")
    batch = images(8, size)
    assert np.abs(tf1.embed(batch) - tf2.embed(batch)).max() < 1e-4
