"""A frozen first layer that whitens the patches of the image."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers

# Added to the eigenvalues, so that directions of pure noise are not amplified.
EPSILON = 5e-4


class Whitening(nn.Module):
    """Convolution with the eigenvectors of the image patches and their negatives.

    f[B,H,W,C] -> f[B,(H-window)//stride+1,(W-window)//stride+1,filters]. Each eigenvector of the
    patches' covariance is divided by the square root of its eigenvalue. The kernel is computed from
    the images at initialisation and then frozen: a float32 statistic of the data, stored in the
    collection "batch_stats". Only the bias, if there is one, is trained.
    (Page 2018, "How to train your ResNet 8"; Jordan 2024, arXiv:2404.00498.)

    Attributes:
      filters: Number of filters, even: half of them eigenvectors, half their negatives.
      window: Side of the square patch, in pixels.
      stride: Step between patches, in pixels.
      images: Maximum number of images that the filters are computed from.
      use_bias: Whether there is a bias. Without one, nothing here is trained, so the backward pass
        ends at the next layer and skips the net's largest gradient.
      bias_init: Initialiser of the bias.
    """

    filters: int
    window: int
    stride: int
    images: int = 5000
    use_bias: bool = True
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        kernel = self.variable("batch_stats", "kernel", self._kernel, image).value
        kernel = kernel.astype(image.dtype)
        strides = (self.stride, self.stride)
        numbers = ("NHWC", "HWIO", "NHWC")
        out = ops.conv_general_dilated(image, kernel, strides, "VALID", dimension_numbers=numbers)
        if not self.use_bias:
            return out
        bias = self.param("bias", self.bias_init, (self.filters,))
        return layers.in_float32(jnp.add, out, bias)

    def _kernel(self, image: jax.Array) -> jax.Array:
        image = image[: self.images].astype(jnp.float32)
        channels = image.shape[-1]
        size = channels * self.window**2
        if self.filters % 2 or self.filters > 2 * size:
            raise ValueError(
                f"filters must be even and at most {2 * size} for {self.window}x{self.window} "
                f"patches of {channels} channels, got {self.filters}"
            )
        patches = jax.lax.conv_general_dilated_patches(
            image,
            (self.window, self.window),
            (self.stride, self.stride),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ).reshape(-1, size)
        values, vectors = jnp.linalg.eigh(patches.T @ patches / len(patches))
        leading = (vectors / jnp.sqrt(values + EPSILON))[:, ::-1][:, : self.filters // 2]
        # Patches are flattened as C,window,window.
        kernel = leading.reshape(channels, self.window, self.window, -1).transpose(1, 2, 0, 3)
        return jnp.concatenate([kernel, -kernel], axis=-1)
