"""Every operation against Pillow's, bit for bit."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from pillow_reference import exact_autocontrast, pillow

from cnn_jax.augment import image_operations
from cnn_jax.augment.image_operations import Operation

FILL = 77
FACTORS = [0, 0.01, 0.1, 0.3, 0.5, 0.55, 0.7, 0.73, 0.9, 1, 1.1, 1.27, 1.3, 1.7, 1.9, 1.99]
PIXELS = [-40, -14, -9, -4, -1, 0, 1, 2, 3, 6, 8, 11, 14, 31, 2.5, -3.25]
SLOPES = [-2, -0.99, -0.3, -0.27, -0.1, -0.01, 0, 0.01, 0.033, 0.1, 0.2, 0.3, 0.5, 0.8, 0.99, 1]
# Multiples of 45 degrees have pixels whose place falls on the edge between two.
ANGLES = [0, 1, 4.5, 7.3, 9, 30, 45, 90, 135, 180, -4.5, -30, -45, -63.5, -90, -135]
THRESHOLDS = [0, 1, 8.5, 25.5, 28, 60, 100, 127.5, 128, 170, 178.5, 200, 226.7, 254, 255, 256]
MAGNITUDES = {
    "shear_x": SLOPES,
    "shear_y": SLOPES,
    "translate_x": PIXELS,
    "translate_y": PIXELS,
    "rotate": ANGLES,
    "brightness": FACTORS,
    "saturation": FACTORS,
    "contrast": FACTORS,
    "sharpness": FACTORS,
    "posterize": [*range(1, 9)] * 2,
    "solarize": THRESHOLDS,
    "autocontrast": [None] * 16,
    "equalize": [None] * 16,
    "invert": [None] * 16,
    "identity": [None] * 16,
}
SHAPES = [(32, 32, 3), (9, 14, 3), (14, 9, 1), (2, 5, 3)]


@functools.cache
def images(shape) -> np.ndarray:
    """u8[N,H,W,C]: noise of many ranges, a smooth image, flat ones, and some of few values."""
    random = np.random.default_rng(0)
    height, width, _ = shape
    rows, columns = np.mgrid[:height, :width][..., None]
    made = [
        random.integers(0, 256, shape),
        random.integers(100, 141, shape),
        random.integers(0, 256, shape) ** 3 // 255**2,
        random.integers(0, 256, shape[-1]) // 2 + 3 * rows + columns,
        np.full(shape, 93),
        random.integers(0, 2, shape) * 255,
        np.where(random.uniform(size=shape) < 0.98, 200, random.integers(0, 256, shape)),
        np.where(np.arange(shape[-1]) == 0, 7, random.integers(30, 220, shape)),
    ]
    return np.stack(made).astype(np.uint8)


@jax.jit
def apply_all(operations: Operation, images):
    """16 operations to each of N images: u8[16,N,H,W,C]."""
    one = functools.partial(image_operations.apply, fill=FILL)
    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(operations, images)


def made(name: str, shape) -> np.ndarray:
    height, width, _ = shape
    make = {
        "rotate": lambda degrees: image_operations.rotate(degrees, height, width),
        "identity": Operation,
        "invert": lambda: image_operations.solarize(0),
        "autocontrast": lambda: Operation(image_operations.STRETCH),
        "equalize": lambda: Operation(image_operations.EQUALIZE),
        "brightness": lambda factor: Operation(image_operations.BLACK, factor=factor),
        "saturation": lambda factor: Operation(image_operations.GREY, factor=factor),
        "contrast": lambda factor: Operation(image_operations.MEAN, factor=factor),
        "sharpness": lambda factor: Operation(image_operations.SMOOTH, factor=factor),
    }.get(name) or getattr(image_operations, name)
    operations = [make() if m is None else make(m) for m in MAGNITUDES[name]]
    return np.asarray(apply_all(image_operations.stack(operations), images(shape)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", [name for name in MAGNITUDES if name != "autocontrast"])
def test_operation_is_pillow_s(name, shape):
    for magnitude, outs in zip(MAGNITUDES[name], made(name, shape), strict=True):
        for image, out in zip(images(shape), outs, strict=True):
            expected = pillow(name, magnitude, image, FILL)
            np.testing.assert_array_equal(out, expected, f"{name} by {magnitude}")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_autocontrast_is_pillow_s_but_for_its_rounding_errors(shape):
    """Those come only where the exact value is whole, and lose one."""
    for image, out in zip(images(shape), made("autocontrast", shape)[0], strict=True):
        np.testing.assert_array_equal(out, exact_autocontrast(image))
        theirs = pillow("autocontrast", None, image)
        least, most = (x.astype(int) for x in (image.min((0, 1)), image.max((0, 1))))
        whole = (image - least) * 255 % np.maximum(most - least, 1) == 0
        lost = out.astype(int) - theirs
        assert ((lost == 0) | (whole & (lost == 1))).all()


def test_an_operation_need_not_be_an_array():
    image = images(SHAPES[0])[0]
    out = image_operations.apply(Operation(image_operations.MEAN, factor=1.3), image, FILL)
    np.testing.assert_array_equal(out, pillow("contrast", 1.3, image))


@pytest.mark.parametrize(("dtype", "channels"), [(np.float32, 3), (np.uint8, 2)])
def test_other_images_are_refused(dtype, channels):
    with pytest.raises(ValueError, match=f"u8 images of 1 or 3 channels, got {np.dtype(dtype)}"):
        image_operations.apply(Operation(), np.zeros((4, 4, channels), dtype), FILL)
