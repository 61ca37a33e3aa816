"""The random-resized crop has torchvision's distribution, and crops what it says."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data.pictures.image_files import decode
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.pictures.random_resized_crop import Box, RandomResizedCrop

# Recorded by benchmarks/torch_crops.py.
RECORD = json.loads(Path(__file__).with_name("torchvision_crops.json").read_text())
BOXES = 4000


@pytest.mark.parametrize(
    "case", RECORD["cases"], ids=lambda case: f"{case['height']}x{case['width']} {case['scale'][0]}"
)
def test_boxes_are_distributed_like_torchvisions(case):
    height, width = case["height"], case["width"]
    crop = RandomResizedCrop(tuple(case["scale"]), tuple(RECORD["ratio"]))
    random = np.random.default_rng(0)
    boxes = [crop.draw(random, height, width) for _ in range(BOXES)]
    top, left, down, across = np.array(boxes, float).T
    assert (top >= 0).all() and (left >= 0).all() and (down > 0).all() and (across > 0).all()
    assert (top + down <= height).all() and (left + across <= width).all()
    measures = {
        "area": down * across / (height * width),
        "ratio": across / down,
        "top": top / np.maximum(height - down, 1),
        "left": left / np.maximum(width - across, 1),
    }
    for name, values in measures.items():
        # Kolmogorov-Smirnov's distance at torchvision's quantiles; boxes that are equal because of
        # whole pixels or the fallback are counted by half.
        levels = np.array(RECORD["quantiles"])
        places = np.array(case[name])
        tolerance = 1e-4
        below = (values[:, None] < places - tolerance).mean(0)
        upto = (values[:, None] <= places + tolerance).mean(0)
        distance = np.maximum(below - levels, levels - upto).max()
        assert distance < 1.95 / np.sqrt(BOXES), name  # 1.95: one in a thousand


def test_the_same_generator_gives_the_same_box():
    crop = RandomResizedCrop()
    one, two = (crop.draw(np.random.default_rng((1, 2, 3)), 375, 500) for _ in range(2))
    assert one == two
    assert one != crop.draw(np.random.default_rng((1, 2, 4)), 375, 500)


@pytest.mark.parametrize(
    ("field", "value"),
    [("scale", (0.0, 1.0)), ("scale", (0.5, 1.1)), ("scale", (0.9, 0.5)), ("ratio", (2.0, 1.0))],
)
def test_ranges_are_checked(field, value):
    with pytest.raises(ValueError, match=field):
        RandomResizedCrop(**{field: value})


def test_a_part_is_cropped_and_resized_as_pillow_does(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    box = Box(7, 11, 40, 50)
    seen = []

    def part(height, width):
        seen.append((height, width))
        return box

    image = decode(path, PictureForm(24, 20), part=part).image
    expected = Image.fromarray(pixels).crop((11, 7, 61, 47)).resize((20, 24), Image.BILINEAR)
    np.testing.assert_array_equal(image, np.asarray(expected))
    assert seen == [(60, 90)]


def test_a_part_of_a_picture_that_its_tag_turns(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, 90 high and 60 wide
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path, exif=exif)
    upright = np.rot90(pixels, -1)
    image = decode(
        path, PictureForm(16, 16), part=lambda height, width: Box(height - 16, 2, 16, 16)
    )
    np.testing.assert_array_equal(image.image, upright[-16:, 2:18])


def test_a_large_jpeg_is_decoded_at_a_lower_scale_for_a_large_part(tmp_path):
    ramp = np.linspace(0, 255, 1600).astype(np.uint8)
    pixels = np.broadcast_to(ramp[:, None, None], (1600, 1200, 3))
    path = tmp_path / "a.jpg"
    Image.fromarray(pixels).save(path, quality=95)
    whole = functools.partial(Box, 800, 600)
    draft, full = (
        decode(path, PictureForm(32, 32, decode=how), part=lambda *_: whole(800, 600)).image
        for how in ("draft", "full")
    )
    np.testing.assert_allclose(draft.astype(int), full.astype(int), atol=3)
    expected = np.linspace(127.5, 255, 32)
    np.testing.assert_allclose(draft[:, 16, 0], expected, atol=4)
