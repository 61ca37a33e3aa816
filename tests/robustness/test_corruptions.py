"""Each kind of corruption against its published definition, written out pixel by pixel."""

from __future__ import annotations

import colorsys
import io
import itertools
import math

import numpy as np
import pytest
from PIL import Image

from cnn_jax.robustness import blur, digital, weather
from cnn_jax.robustness.corruptions import KINDS, SEVERITIES, corrupt, generator

SIZE = 32


@pytest.fixture(scope="module")
def images():
    """Four pictures of rough coloured patches, u8[4,32,32,3], some black, white and grey."""
    random = np.random.default_rng(0)
    pictures = random.integers(20, 236, (4, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    pictures += random.integers(-20, 20, pictures.shape)
    for place, value in enumerate((0, 255, 128)):
        pictures[:, 4 * place : 4 * place + 4, 4 * place : 4 * place + 4] = value
    return pictures.astype(np.uint8)


@pytest.fixture(scope="module")
def pixels(images):
    return images / 255


def grey(value, number=20):
    return np.full((number, SIZE, SIZE, 3), value, np.uint8)


def levels(made):
    """As published: cut off at 0 and 1, and the fraction of a level dropped."""
    return np.clip(made, 0, 1) * 255


def close(made, expected, most=1.0):
    """Within so many levels: a value next to a whole number may fall either way."""
    assert np.abs(made.astype(float) - np.floor(levels(expected) + 1e-9)).max() <= most


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_images_is_repeatable_and_leaves_its_argument(kind, images):
    before = images.copy()
    for severity in SEVERITIES:
        made = corrupt(kind, images, severity, generator(0, kind, severity, 0))
        again = corrupt(kind, images, severity, generator(0, kind, severity, 0))
        assert made.dtype == np.uint8 and made.shape == images.shape
        np.testing.assert_array_equal(made, again)
        assert (made != images).any()
    np.testing.assert_array_equal(images, before)
    assert len(KINDS[kind].constants) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_one_channel_and_of_other_sizes(kind):
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 24, 1)).astype(np.uint8)
    made = corrupt(kind, images, 5, generator(0, kind, 5, 0))
    assert made.shape == images.shape


def distance(kind, images, severity):
    made = corrupt(kind, images, severity, generator(0, kind, severity, 0))
    return np.abs(made.astype(float) - images).mean()


# By their constants glass, elastic, saturate and motion (whose line grows as well) do not; and
# pixelate's boxes fall into the patches at some severities and across them at others.
NOT_MONOTONE = {"glass_blur", "elastic_transform", "saturate", "motion_blur", "pixelate"}


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - NOT_MONOTONE))
def test_a_higher_severity_changes_more(kind, images):
    distances = [distance(kind, images, severity) for severity in SEVERITIES]
    assert distances == sorted(distances)


def test_the_same_constants_as_published():
    """Some, by hand, of every group."""
    assert KINDS["gaussian_noise"].constants[4] == 0.10
    assert KINDS["shot_noise"].constants[0] == 500
    assert KINDS["glass_blur"].constants[3] == (0.25, 1, 2)
    assert KINDS["fog"].constants[2] == (0.75, 2.5)
    assert KINDS["jpeg_compression"].constants == (80, 65, 58, 50, 40)
    groups = [kind.group for kind in KINDS.values()]
    assert {group: groups.count(group) for group in groups} == {
        "noise": 3, "blur": 4, "weather": 3, "digital": 4, "extra": 3,
    }  # fmt: skip


@pytest.mark.parametrize(("severity", "scale"), [*enumerate((0.04, 0.06, 0.08, 0.09, 0.1), 1)])
def test_gaussian_noise_has_its_scale(severity, scale):
    made = corrupt("gaussian_noise", grey(128), severity, generator(0, "gaussian_noise", 1, 0))
    noise = (made.astype(float) + 0.5) / 255 - 128 / 255  # half a level back for what was dropped
    assert noise.std() == pytest.approx(scale, rel=0.02)
    assert abs(noise.mean()) < 0.002
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("value", [50, 200])
def test_shot_noise_is_as_strong_as_the_square_root(value):
    made = corrupt("shot_noise", grey(value), 3, generator(0, "shot_noise", 3, 0)) / 255
    assert made.std() == pytest.approx(np.sqrt(value / 255 / 100), rel=0.03)
    assert made.mean() == pytest.approx(value / 255, abs=0.003)


@pytest.mark.parametrize("value", [50, 120])
def test_speckle_noise_is_in_proportion(value):
    made = corrupt("speckle_noise", grey(value), 5, generator(0, "speckle_noise", 5, 0)) / 255
    assert made.std() == pytest.approx(0.2 * value / 255, rel=0.03)


def test_impulse_noise_is_black_and_white_as_often_and_nothing_else():
    made = corrupt("impulse_noise", grey(128), 5, generator(0, "impulse_noise", 5, 0))
    shares = {value: (made == value).mean() for value in np.unique(made)}
    assert shares.keys() == {0, 128, 255}
    assert shares[0] == pytest.approx(0.035, rel=0.06)
    assert shares[255] == pytest.approx(0.035, rel=0.06)
    assert ((made != 128).any(-1)).mean() > 0.15  # each channel on its own: 1 - 0.93**3 = 0.196


def blurred_naively(image, sigma, truncate, outside):
    """A Gaussian, one axis after the other; `outside` says which pixel stands for a place."""
    radius = int(truncate * sigma + 0.5)
    weights = [
        math.exp(-0.5 * (k / sigma) ** 2) if sigma else 1.0 for k in range(-radius, radius + 1)
    ]
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        size = len(image)
        image = np.stack(
            [
                sum(w * image[outside(i + k, size)] for k, w in enumerate(weights, -radius))
                / sum(weights)
                for i in range(size)
            ]
        )
        image = np.moveaxis(image, 0, axis)
    return image


def edge(place, size):
    return min(max(place, 0), size - 1)


def symmetric(place, size):
    place %= 2 * size
    return place if place < size else 2 * size - 1 - place


def reflect(place, size):
    place = abs(place)
    return place if place < size else 2 * size - 2 - place


@pytest.mark.parametrize("severity", [1, 5])
def test_gaussian_blur_against_sums(severity, images, pixels):
    sigma = {1: 0.4, 5: 1.0}[severity]
    made = corrupt("gaussian_blur", images, severity, np.random.default_rng(0))
    close(made[0], blurred_naively(pixels[0].astype(float), sigma, 4, edge))


@pytest.mark.parametrize("severity", [1, 4, 5])
def test_defocus_blur_against_sums(severity, images, pixels):
    radius, sigma = {1: (0.3, 0.4), 4: (1, 0.2), 5: (1.5, 0.1)}[severity]
    disk = np.zeros((17, 17))
    for y, x in itertools.product(range(-8, 9), repeat=2):
        disk[y + 8, x + 8] = y * y + x * x <= radius * radius
    soft = [math.exp(-0.5 / sigma**2), 1.0, math.exp(-0.5 / sigma**2)]
    kernel = np.zeros((17, 17))
    for y, x in itertools.product(range(1, 16), repeat=2):
        kernel[y, x] = sum(
            soft[i] * soft[j] * disk[y + i - 1, x + j - 1]
            for i, j in itertools.product(range(3), repeat=2)
        )
    kernel /= kernel.sum()
    made = corrupt("defocus_blur", images, severity, np.random.default_rng(0))
    for y, x in ((0, 0), (0, 31), (13, 7), (31, 30)):
        expected = sum(
            kernel[i + 8, j + 8] * pixels[0, reflect(y + i, SIZE), reflect(x + j, SIZE)]
            for i, j in itertools.product(range(-8, 9), repeat=2)
        )
        close(made[0, y, x], expected)


@pytest.mark.parametrize("kind", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur"])
def test_blurs_leave_an_even_image(kind):
    for severity in SEVERITIES:
        made = corrupt(kind, grey(100, 2), severity, generator(0, kind, severity, 0))
        assert np.abs(made.astype(int) - 100).max() <= 1


def test_glass_blur_moves_pixels_one_after_the_other(images, pixels):
    made = blur.glass_blur(np.random.default_rng(7), pixels, 0.0, 1, 2)
    random = np.random.default_rng(7)
    expected = pixels.copy()
    for _ in range(2):
        moves = random.integers(-1, 1, (30, 30, 2, 4))
        for number in range(4):
            for i, row in enumerate(range(31, 1, -1)):
                for j, column in enumerate(range(31, 1, -1)):
                    down, right = moves[i, j, :, number]
                    expected[number, row, column] = expected[number, row + down, column + right]
    np.testing.assert_allclose(made, expected, atol=2e-3)
    assert set(np.unique(random.integers(-1, 1, 100))) == {-1, 0}


@pytest.mark.parametrize("degrees", [0.0, 45.0, -30.0])
def test_motion_blur_is_the_weighted_mean_along_a_line(degrees, pixels):
    made = blur.drag(pixels[:1], 6, 1.5, np.array([degrees]))
    weights = [math.exp(-i * i / (2 * 1.5**2)) for i in range(13)]
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    for y, x in ((0, 0), (10, 20), (31, 31), (31, 3)):
        expected = sum(
            weight
            * pixels[
                0,
                edge(y + math.ceil(i * sine - 0.5), SIZE),
                edge(x + math.ceil(i * cosine - 0.5), SIZE),
            ]
            for i, weight in enumerate(weights)
        ) / sum(weights)
        expected = np.floor(np.round(expected * 65535) / 257) / 255  # to 16 bits, cut to 8
        np.testing.assert_allclose(made[0, y, x], expected, atol=1e-9)


# ImageMagick 6.9.11-60 Q16: MagickMotionBlurImage(wand, radius, sigma, angle) by Wand 0.7.2 on
# np.random.default_rng(0).integers(0, 256, (5, 8)).astype(np.uint8) as a PNG, whose make_blob() is
# read by cv2.imdecode (OpenCV 5.0.0).
IMAGEMAGICK = {
    (6, 1.5, 30): [
        [190, 160, 111, 98, 89, 53, 52, 45],
        [127, 191, 174, 189, 136, 149, 167, 141],
        [140, 119, 185, 170, 141, 156, 83, 11],
        [126, 164, 70, 90, 173, 177, 131, 59],
        [93, 119, 57, 86, 62, 99, 114, 108],
    ],
    (10, 4, -100): [
        [217, 189, 147, 99, 75, 42, 16, 10],
        [185, 197, 154, 129, 84, 68, 58, 44],
        [176, 192, 156, 159, 83, 103, 84, 42],
        [158, 202, 157, 144, 103, 132, 115, 46],
        [128, 181, 135, 133, 106, 124, 114, 67],
    ],
}


@pytest.mark.parametrize("radius, sigma, degrees", IMAGEMAGICK)
def test_motion_blur_is_imagemagick_s(radius, sigma, degrees):
    """The lines of both motion blur and snow, to the last level."""
    image = np.random.default_rng(0).integers(0, 256, (5, 8)).astype(np.uint8)[None, ..., None]
    made = blur.drag(image / 255, radius, sigma, np.array([degrees])) * 255
    np.testing.assert_allclose(made[0, ..., 0], IMAGEMAGICK[radius, sigma, degrees], atol=1e-9)


def test_defocus_blur_cuts_off_what_little_it_takes():
    """A black pixel on white takes 0.0002 levels from those next to the disk: 254, as published.

    Values of the published program (OpenCV 5.0.0), severity 4.
    """
    images = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    images[0, 16, 16] = 0
    made = corrupt("defocus_blur", images, 4, np.random.default_rng(0))
    around = [
        [255, 255, 254, 255, 255],
        [255, 254, 204, 254, 255],
        [254, 204, 204, 204, 254],
        [255, 254, 204, 254, 255],
        [255, 255, 254, 255, 255],
    ]
    np.testing.assert_array_equal(made[0, 14:19, 14:19, 1], around)


def test_glass_blur_cuts_off_what_little_its_first_blur_takes():
    """98 in 100 becomes 98 in a square of 99 (scikit-image 0.26.0: gaussian, sigma 0.25)."""

    class Still:
        """Moves no pixel."""

        def integers(self, low, high, size):
            return np.zeros(size, int)

    image = np.full((1, SIZE, SIZE, 1), 100 / 255)
    image[0, 16, 16] = 98 / 255
    made = blur.glass_blur(Still(), image, 0.25, 1, 1)
    expected = np.full((5, 5), 100)
    expected[1:4, 1:4] = 99
    expected[2, 2] = 98
    # The second blur takes at most 0.002 levels.
    np.testing.assert_allclose(made[0, 14:19, 14:19, 0] * 255, expected, atol=2e-3)


def enlarged(plane, factor):
    """The middle of f[S,S], by linear interpolation row by row and column by column."""
    size = len(plane)
    inner = math.ceil(size / factor)
    first = (size - inner) // 2
    plane = plane[first : first + inner, first : first + inner]
    places = np.linspace(0, inner - 1, round(inner * factor))
    for _ in range(2):
        plane = np.stack([np.interp(places, np.arange(inner), row) for row in plane]).T
    start = (len(places) - size) // 2
    return plane[start : start + size, start : start + size]


@pytest.mark.parametrize(("severity", "factors"), [(1, 7), (5, 26)])
def test_zoom_blur_is_the_mean_of_enlargements(severity, factors, images, pixels):
    made = corrupt("zoom_blur", images, severity, np.random.default_rng(0))
    total = pixels[0].astype(float)
    for number in range(factors):
        factor = 1 + number * (1.01 - 1)  # as np.arange has them, whose 1.25 is a hair more
        total += np.stack([enlarged(pixels[0, ..., c], factor) for c in range(3)], -1)
    close(made[0], total / (factors + 1))


@pytest.mark.parametrize(
    ("severity", "constants"),
    [(3, (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9)), (4, (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85))],
)
def test_snow_by_its_parts(severity, constants, pixels):
    assert KINDS["snow"].constants[severity - 1] == constants
    mean, deviation, size, threshold, radius, sigma, kept = constants
    made = weather.snow(np.random.default_rng(3), pixels, *constants)
    random = np.random.default_rng(3)
    noise = random.normal(mean, deviation, (4, SIZE, SIZE, 1))
    flakes = np.stack([enlarged(each[..., 0], size) for each in noise])
    flakes = np.where(flakes < threshold, 0, np.clip(flakes, 0, 1))
    flakes = (np.floor(flakes * 255) / 255)[..., None]
    flakes = blur.drag(flakes, radius, sigma, random.uniform(-135, -45, 4))
    luma = 0.299 * pixels[..., :1] + 0.587 * pixels[..., 1:2] + 0.114 * pixels[..., 2:]
    white = np.maximum(pixels, 1.5 * luma + 0.5)
    expected = kept * pixels + (1 - kept) * white + flakes + np.rot90(flakes, 2, (1, 2))
    np.testing.assert_allclose(made, expected, atol=1e-9)


def plasma_naively(noises, size, decay):
    """Diamond-square point by point: each a mean of four around it, over the edge if need be."""
    height = np.zeros((size, size))
    step = size
    while step > 1:
        half = step // 2
        draws = [next(noises) for _ in range(3)]
        for i, j in itertools.product(range(size // step), repeat=2):
            y, x = i * step, j * step
            four = [height[(y + a) % size, (x + b) % size] for a in (0, step) for b in (0, step)]
            height[y + half, x + half] = sum(four) / 4 + draws[0][i, j]
        for i, j in itertools.product(range(size // step), repeat=2):
            y, x = i * step, j * step
            for (a, b), draw in (((0, half), draws[1]), ((half, 0), draws[2])):
                around = ((a - half, b), (a + half, b), (a, b - half), (a, b + half))
                four = [height[(y + c) % size, (x + d) % size] for c, d in around]
                height[y + a, x + b] = sum(four) / 4 + draw[i, j]
        step = half
    return (height - height.min()) / (height.max() - height.min())


def test_fog_is_a_plasma_cloud(images, pixels):
    def draws():
        random, squares, wobble = np.random.default_rng(5), 1, 100.0
        while True:
            for _ in range(3):
                yield wobble * random.uniform(-wobble, wobble, (1, squares, squares))[0]
            squares, wobble = 2 * squares, wobble / 2

    cloud = plasma_naively(draws(), SIZE, 2)
    np.testing.assert_allclose(
        weather.plasma(np.random.default_rng(5), 1, SIZE, 2)[0], cloud, atol=1e-5
    )
    made = weather.fog(np.random.default_rng(5), pixels[:1], 1, 2)
    most = pixels[0].max()
    np.testing.assert_allclose(
        made[0], (pixels[0] + cloud[..., None]) * most / (most + 1), atol=1e-5
    )


def by_hsv(image, change):
    """Each pixel through the standard library's HSV."""
    rows = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*p)))
        for p in image.reshape(-1, 3).tolist()
    ]
    return np.array(rows).reshape(image.shape)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_shifts_the_value_of_hsv(severity, images, pixels):
    shift = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    made = corrupt("brightness", images, severity, np.random.default_rng(0))
    close(made[0], by_hsv(pixels[0], lambda h, s, v: (h, s, min(v + shift, 1))))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_saturate_changes_the_saturation_of_hsv(severity, images, pixels):
    factor, shift = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[severity - 1]
    made = corrupt("saturate", images, severity, np.random.default_rng(0))
    close(made[0], by_hsv(pixels[0], lambda h, s, v: (h, min(factor * s + shift, 1), v)))


def test_contrast_scales_around_each_channel_s_mean(images, pixels):
    made = corrupt("contrast", images, 5, np.random.default_rng(0))
    for channel in range(3):
        mean = pixels[1, ..., channel].mean()
        close(made[1, ..., channel], mean + 0.15 * (pixels[1, ..., channel] - mean))


def between(image, y, x, outside):
    """The image at a place between four pixels."""
    top, left = math.floor(y), math.floor(x)
    return sum(
        (1 - abs(y - row))
        * (1 - abs(x - column))
        * image[outside(row, SIZE), outside(column, SIZE)]
        for row in (top, top + 1)
        for column in (left, left + 1)
    )


@pytest.mark.parametrize(
    ("severity", "constants"), [(2, (0.05, 0.2, 0.07)), (5, (0.1, 0.03, 0.03))]
)
def test_elastic_transform_point_by_point(severity, constants, pixels):
    assert KINDS["elastic_transform"].constants[severity - 1] == constants
    distance, sigma, skew = constants
    made = digital.elastic_transform(np.random.default_rng(9), pixels[:1], distance, sigma, skew)
    random = np.random.default_rng(9)
    points = np.array([[26, 26], [26, 6], [6, 6]])
    moved = points + random.uniform(-skew * 32, skew * 32, (1, 3, 2))[0]
    noise = random.uniform(-1, 1, (1, SIZE, SIZE, 2))[0]
    # The affine map that takes the moved points to the points: six equations.
    rows = [[*point, 1, 0, 0, 0] for point in moved] + [[0, 0, 0, *point, 1] for point in moved]
    a = np.linalg.solve(rows, [*points[:, 0], *points[:, 1]])
    skewed = np.array(
        [
            [
                between(pixels[0], a[3] * x + a[4] * y + a[5], a[0] * x + a[1] * y + a[2], reflect)
                for x in range(SIZE)
            ]
            for y in range(SIZE)
        ]
    )
    shift = distance * 32 * blurred_naively(noise, sigma * 32, 3, symmetric)
    expected = np.array(
        [
            [
                between(skewed, y + shift[y, x, 1], x + shift[y, x, 0], symmetric)
                for x in range(SIZE)
            ]
            for y in range(SIZE)
        ]
    )
    np.testing.assert_allclose(made[0], expected, atol=1e-4)


@pytest.mark.parametrize(("severity", "small"), [(1, 30), (2, 28), (3, 27), (4, 24), (5, 20)])
def test_pixelate_is_pillow_s_boxes(severity, small, images):
    made = corrupt("pixelate", images, severity, np.random.default_rng(0))
    for image, got in zip(images, made, strict=True):
        box = Image.Resampling.BOX
        expected = Image.fromarray(image).resize((small, small), box).resize((32, 32), box)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("severity", "quality"), [*enumerate((80, 65, 58, 50, 40), 1)])
def test_jpeg_is_pillow_s(severity, quality, images):
    made = corrupt("jpeg_compression", images, severity, np.random.default_rng(0))
    for image, got in zip(images, made, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        np.testing.assert_array_equal(got, Image.open(file))
