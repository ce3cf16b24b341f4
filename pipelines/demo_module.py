"""A MobileNet V2 with seeded, untrained weights, saved as a TF2 SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from transforms.quiet_libraries import quiet_import

with quiet_import():
    import keras
    import tensorflow as tf

INPUT_SIZE: Final = (96, 96)
DEPTH_MULTIPLIER: Final = 0.35
OFFSET: Final = 1.0


def save_untrained_module(
    folder: Path,
    pictures: NDArray[np.float32],
    *,
    depth_multiplier: float = DEPTH_MULTIPLIER,
    seed: int = 7,
) -> None:
    """Save a module that maps images to feature vectors; it knows shapes and colors, no things.

    Random filters, with batch normalization measured once on some pictures. An offset keeps most
    activations in the straight part of ReLU6, where small changes of a picture stay small; a deep
    untrained network otherwise scatters them. That is enough to tell apart what looks different and
    to see that copies are alike; it has learnt nothing.

    Args:
        folder: where to.
        pictures: float32 [n, height, width, 3] in [0, 1], of the size that the module will take, to
            measure the normalization on.
        depth_multiplier: of the network's width.
        seed: of the weights.
    """
    keras.utils.set_random_seed(seed)
    network = keras.applications.MobileNetV2(
        input_shape=pictures.shape[1:],
        alpha=depth_multiplier,
        include_top=False,
        weights=None,
        pooling="avg",
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the moving averages become those of the one batch below
            inner = not layer.name.endswith("project_BN") and layer.name != "Conv_1_bn"
            layer.beta.assign(layer.beta + (OFFSET if inner else 0.0))
    network(pictures * 2 - 1, training=True)
    images = tf.TensorSpec((None, *pictures.shape[1:]), tf.float32, "images")
    tf.saved_model.save(_UntrainedModule(network, images), str(folder))


class _UntrainedModule(tf.Module):
    def __init__(self, network: Any, images: Any) -> None:
        super().__init__()
        self.network = network
        self.vectors = tf.function(self._vectors, input_signature=[images])

    def _vectors(self, images: Any) -> Any:
        return self.network(images * 2 - 1, training=False)

    def __call__(self, images: Any) -> Any:
        return self.vectors(images)
