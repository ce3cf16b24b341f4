"""Modules written by the tests: small networks with seeded weights, in either format."""

from pathlib import Path

import numpy as np
import tensorflow as tf


class Weights:
    """A convolution of stride 8 with ReLU, averaged over the picture, and a dense layer."""

    def __init__(self, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.kernel = rng.normal(0, 0.3, (8, 8, 3, 16)).astype(np.float32)
        self.dense = rng.normal(0, 1.0, (16, width)).astype(np.float32)

    def network(self, images, kernel, dense):
        mixed = tf.nn.relu(tf.nn.conv2d(images * 2 - 1, kernel, strides=8, padding="VALID"))
        return tf.matmul(tf.reduce_mean(mixed, axis=[1, 2]), dense)


class Network(tf.Module):
    """The weights as variables, and the network over them."""

    def __init__(self, weights: Weights) -> None:
        self.kernel = tf.Variable(weights.kernel)
        self.dense = tf.Variable(weights.dense)
        self.vectors = lambda images: weights.network(images, self.kernel, self.dense)


def save_tf2_module(folder: Path, size: int, width: int, *, seed: int = 0) -> Path:
    """A TF2 SavedModel, called as `module(images)`."""

    class Module(Network):
        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32, "images")])
        def __call__(self, images):
            return self.vectors(images)

    tf.saved_model.save(Module(Weights(width, seed)), str(folder))
    return folder


def save_tf2_signature_module(folder: Path, size: int, width: int, *, seed: int = 0) -> Path:
    """A TF2 SavedModel that cannot be called: it has only a signature."""
    module = Network(Weights(width, seed))

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32, "pixels")])
    def serve(pixels):
        return {"features": module.vectors(pixels)}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return folder


def save_fussy_module(folder: Path, size: int, width: int) -> Path:
    """A TF2 SavedModel that refuses a batch with a white picture in it, and gives NaN for black."""

    class Module(Network):
        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32, "images")])
        def __call__(self, images):
            mean = tf.reduce_mean(images, axis=[1, 2, 3])
            check = tf.debugging.assert_less(mean, 0.999, message="too bright to look at")
            with tf.control_dependencies([check]):
                vectors = self.vectors(images)
            return tf.where(mean[:, None] <= 0.0, float("nan"), vectors)

    tf.saved_model.save(Module(Weights(width, 0)), str(folder))
    return folder


def image_size_attachment(height: int, width: int) -> bytes:
    """As tensorflow-hub 0.12 wrote it: {1: "image_module_info", 2: {1: {1: height, 2: width}}}."""
    size = bytes([8, height, 16, width])  # one-byte varints: below 128
    info = bytes([10, len(size)]) + size
    key = b"image_module_info"
    return bytes([10, len(key)]) + key + bytes([18, len(info)]) + info


def save_hub_module(
    folder: Path,
    size: int,
    width: int,
    *,
    seed: int = 0,
    classes: int | None = None,
    attached_size: tuple[int, int] | None = None,
) -> Path:
    """A module in TF1-hub format: tags {} and {train}, signatures `default` and by kind.

    The graph for training adds noise, so that taking the wrong one shows. With `attached_size` the
    signature leaves height and width open, and an attachment of the graph names the default.
    """
    weights = Weights(width, seed)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = v1.get_variable("kernel", initializer=weights.kernel, use_resource=True)
        dense = v1.get_variable("dense", initializer=weights.dense, use_resource=True)
        shape = (None, None, None, 3) if attached_size else (None, size, size, 3)
        images = v1.placeholder(tf.float32, shape, "images")
        if attached_size:
            v1.add_to_collection("hub_module_attachments", image_size_attachment(*attached_size))
        features = weights.network(images, kernel, dense)
        outputs = {"image_feature_vector": features}
        if classes is not None:
            head = np.random.default_rng(seed + 1).normal(size=(width, classes))
            logits = tf.matmul(features, tf.constant(head.astype(np.float32)))
            outputs["image_classification"] = logits
        outputs["default"] = outputs.get("image_classification", features)
        session.run(v1.global_variables_initializer())
        signatures = {
            name: v1.saved_model.predict_signature_def({"images": images}, {"default": output})
            for name, output in outputs.items()
        }
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [], signature_def_map=signatures)
        noisy = features + tf.random.normal(tf.shape(features))
        builder.add_meta_graph(
            ["train"],
            signature_def_map={
                "default": v1.saved_model.predict_signature_def(
                    {"images": images}, {"default": noisy}
                )
            },
        )
        builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return folder
