"""A multilayer perceptron: every neuron of the first layer is connected to every pixel."""

import flax.linen as nn
import jax

from cnn_jax.models import layers


class MLP(layers.Net):
    """Fully connected layers with ReLU, f32[B,H,W,C] -> f32[B,K].

    On 32x32x3 a neuron of the first layer has 3072 weights. The default has 1,841,162 parameters at
    10 classes.

    Attributes:
      hidden: Neurons in each hidden layer.
      num_classes: Number of classes; None: taken from the data.
    """

    hidden: tuple[int, ...] = (512, 512)
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.flatten(image)
        for neurons in self.hidden:
            x = nn.relu(nn.Dense(neurons, kernel_init=layers.he_normal)(x))
        return layers.scores(self.num_classes)(x)
