from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
import pytest
from noise import batch, run
from PIL import Image, ImageEnhance

from cnn_jax.augment import ColorJitter, Jitter


def test_jitter_is_one_line_for_all_pixels_of_an_image():
    """Mid-grey images, which nothing cuts off: slope and offset are those of the definition."""
    given = batch()
    given = dataclasses.replace(given, image=given.image // 4 + 96)
    shifts, scales = [], []
    for before, after in zip(given.image, run(Jitter(0.1, 0.2), given), strict=True):
        slope, offset = np.polyfit(before.ravel() - 127.5, after.ravel() - 127.5, 1)
        line = slope * (before - 127.5) + offset + 127.5
        assert abs(line - after).max() < 0.7  # half is from rounding
        scales.append(slope - 1)
        shifts.append(offset / slope / 255)
    for drawn, most in ((scales, 0.2), (shifts, 0.1)):
        assert 0.95 * most < max(drawn) < 1.03 * most
        assert 0.95 * most < -min(drawn) < 1.03 * most
        assert abs(np.std(drawn) / most - 3**-0.5) < 0.05  # of a uniform distribution
    assert abs(np.corrcoef(scales, shifts)[0, 1]) < 0.2


def test_jitter_stays_between_black_and_white():
    given = dataclasses.replace(batch(), image=np.where(batch().image < 128, 0, 255).astype("u1"))
    out = run(Jitter(0.3, 0.3), given).astype(int)
    assert ((out < 128) == (given.image < 128)).all()
    assert out.min() == 0
    assert out.max() == 255


def each_change(given, out, kind):
    """(image, base, out) of each image, the base being what Pillow blends it with."""
    for image, after in zip(given.image, out, strict=True):
        base = np.asarray(kind(Image.fromarray(image)).degenerate)
        yield image.astype(float), base.astype(float), after.astype(float)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_color_jitter_is_pillow_s_with_a_uniform_factor(name, kind):
    given = batch(300, height=8, width=8)
    alone = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, name: 0.6}
    factors = []
    for image, base, out in each_change(given, run(ColorJitter(**alone), given), kind):
        kept = (out > 0) & (out < 255)
        difference = (image - base)[kept]
        factor = (difference * (out - base + 0.5)[kept]).sum() / (difference**2).sum()
        theirs = kind(Image.fromarray(image.astype(np.uint8))).enhance(factor)
        assert abs(np.asarray(theirs) - out).max() <= 1
        factors.append(factor)
    assert 0.4 - 0.01 < min(factors) < 0.43
    assert 1.57 < max(factors) < 1.6 + 0.01
    assert abs(np.mean(factors) - 1) < 0.07
    assert abs(np.std(factors) - 1.2 / 12**0.5) < 0.04


def test_color_jitter_factors_do_not_go_below_zero():
    given = batch(100, height=8, width=8)
    out = run(ColorJitter(brightness=3.0, contrast=0.0, saturation=0.0, hue=0.0), given)
    brighter = out.mean((1, 2, 3)) > given.image.mean((1, 2, 3))
    assert 60 < brighter.sum() < 90  # factors from 0 to 4


def hsv(image) -> np.ndarray:
    pixels = np.asarray(image).reshape(-1, 3) / 255
    return np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels])


def test_color_jitter_turns_the_hue_of_all_pixels_alike():
    given = batch(120, height=5, width=5)
    jitter = ColorJitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.2)
    turns = []
    for image, out in zip(given.image, run(jitter, given), strict=True):
        before, after = hsv(image), hsv(out)
        strong = before[:, 1] * before[:, 2] > 0.5
        turn = np.median((after - before + 0.5)[strong, 0] % 1) - 0.5
        turned = [colorsys.hsv_to_rgb((h + turn) % 1, s, v) for h, s, v in before]
        assert abs(255 * np.array(turned) - out.reshape(-1, 3)).max() < 1.6
        turns.append(turn)
    assert -0.201 < min(turns) < -0.18
    assert 0.18 < max(turns) < 0.201
    assert abs(np.std(turns) - 0.4 / 12**0.5) < 0.012


def test_color_jitter_draws_an_order_for_the_step():
    """Saturation about the image's own luma comes before the hue's turn; about another, after it.

    Both keep what they do to each pixel's greatest and least channel: value v becomes
    l + s (v - l), where l is the luma that the saturation has seen.
    """
    given = batch(40, height=8, width=8)
    jitter = ColorJitter(brightness=0.0, contrast=0.0, saturation=0.5, hue=0.5)
    luma = np.asarray(given.image) @ [0.299, 0.587, 0.114]
    greatest, least = (f(np.asarray(given.image, float), -1) for f in (np.max, np.min))
    verdicts = set()
    for seed in range(8):
        out = run(jitter, given, seed).astype(float)
        inside = ((out > 0) & (out < 255)).all(-1)
        misses = []
        for i in range(40):
            kept = inside[i] & (greatest[i] - least[i] > 60)
            most, spread = out[i].max(-1), (greatest - least)[i]
            factor = np.median(((most - out[i].min(-1)) / np.maximum(spread, 1))[kept])
            own = luma[i] + factor * (greatest[i] - luma[i])
            misses.append(np.median(abs(most - own)[kept]))
        # Either all images are as if saturated first, or most are not.
        first = np.max(misses) < 2
        assert first or np.mean(np.array(misses) > 2) > 0.5
        verdicts.add(bool(first))
    assert verdicts == {True, False}


def test_a_color_jitter_of_nothing_changes_nothing():
    given = batch(3)
    nothing = ColorJitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
    np.testing.assert_array_equal(run(nothing, given), given.image)
