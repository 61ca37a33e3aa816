"""The operations on images as Pillow does them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

ENHANCE = {
    "brightness": ImageEnhance.Brightness,
    "saturation": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
}
PLAIN = {
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "invert": ImageOps.invert,
    "identity": lambda image: image,
}


def to_pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def pillow(name: str, magnitude, image: np.ndarray, fill: int = 128) -> np.ndarray:
    """u8[H,W,C] -> u8[H,W,C]; the magnitude is a slope, pixels, degrees, a factor and so on."""
    given = to_pillow(image)
    colour = fill if given.mode == "L" else (fill,) * 3
    maps = {
        "shear_x": (1, magnitude, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, magnitude, 1, 0),
        "translate_x": (1, 0, magnitude, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, magnitude),
    }
    if name in maps:
        out = given.transform(given.size, Image.Transform.AFFINE, maps[name], fillcolor=colour)
    elif name == "rotate":
        out = given.rotate(magnitude, fillcolor=colour)
    elif name in ENHANCE:
        out = ENHANCE[name](given).enhance(magnitude)
    elif name == "posterize":
        out = ImageOps.posterize(given, magnitude)
    elif name == "solarize":
        out = ImageOps.solarize(given, magnitude)
    else:
        out = PLAIN[name](given)
    return np.asarray(out).reshape(image.shape)


def exact_autocontrast(image: np.ndarray) -> np.ndarray:
    """As Pillow's, without its rounding errors."""
    value = image.astype(int)
    least, most = value.min((0, 1)), value.max((0, 1))
    stretched = (value - least) * 255 // np.maximum(most - least, 1)
    return np.where(most > least, stretched, value).astype(np.uint8)


def exact(name: str, magnitude, image: np.ndarray) -> np.ndarray:
    """As `pillow`, with the exact autocontrast."""
    return exact_autocontrast(image) if name == "autocontrast" else pillow(name, magnitude, image)
