"""Applies a net to larger images in one pass: its fully connected layers become convolutions.

A fully connected layer on a volume of HxWxC is a convolution whose filters are as large as the
volume; on a larger volume it has an output at every place (CS231n, "Converting FC layers to CONV
layers"; https://cs231n.github.io/convolutional-networks/).
"""

from typing import Any

import flax.linen as nn
import jax

from cnn_jax.analysis import structure
from cnn_jax.analysis.layer import Volume
from cnn_jax.errors import UserError


def score_map(
    model: nn.Module, variables: Any, images: jax.Array, image_shape: Volume
) -> jax.Array:
    """The scores at every place of larger images: f32[B,H,W,C] -> f32[B,H',W',K].

    On images of the net's own size the map is 1x1. The score at a place is that of the net on the
    image's part there, if no layer pads; where layers pad, the part sees its neighbourhood in place
    of zeros.

    Args:
      model: A net that flattens a volume before its fully connected layers.
      variables: Its variables, for images of `image_shape`.
      images: Larger images, normalised.
      image_shape: Height, width and channels of the images that the net was trained on.

    Raises:
      UserError: no fully connected layer of the net takes a volume.
    """
    _, height, width, channels = images.shape
    windows, volumes = (
        {layer.name: layer.input for layer in structure.layers(model, shape) if layer.kind == "fc"}
        for shape in (image_shape, (height, width, channels))
    )
    windows = {name: window for name, window in windows.items() if window[:2] != (1, 1)}
    if not windows:
        raise UserError(
            f"model: {type(model).__name__} has no fully connected layer that takes a volume, such "
            "as ConvNet has"
        )

    def convolve(call: Any, arguments: Any, options: Any, context: Any) -> Any:
        module, name = context.module, "/".join(context.module.path)
        if not isinstance(module, nn.Dense) or name not in windows:
            return call(*arguments, **options)
        params = module.variables["params"]
        scores = jax.lax.conv_general_dilated(
            arguments[0].reshape(-1, *volumes[name]),
            params["kernel"].reshape(*windows[name], -1),
            window_strides=(1, 1),
            padding="VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return scores + params["bias"]

    with nn.intercept_methods(convolve):
        scores: Any = model.apply(variables, images, train=False)
    return scores
