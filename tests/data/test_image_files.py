"""Picture files are read as what they show, or refused by name."""

from __future__ import annotations

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, features
from PIL.JpegImagePlugin import JpegImageFile

from cnn_jax.data.pictures.image_files import BadImage
from cnn_jax.data.pictures.image_files import read_image as read_form
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.pictures.picture_formats import extensions
from cnn_jax.errors import UserError


def read_image(path, height, width, channels, **fields):
    return read_form(path, PictureForm(height, width, channels, **fields))


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def noise():
    """u8[12,12,3]."""
    return np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8)


@pytest.fixture
def saved(tmp_path):
    """A function that saves a Pillow image: (image, name, options of save) -> path."""

    def save(image, name, **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def pixel(path, channels=3):
    """The only colour of a picture."""
    image = read_image(path, 4, 4, channels)
    assert image.shape == (4, 4, channels) and image.dtype == np.uint8
    assert (image == image[0, 0]).all()
    return tuple(image[0, 0].tolist())


@pytest.mark.parametrize(
    "name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp", "wrong.jpg", "none"]
)
def test_a_picture_of_the_size_keeps_its_pixels(name, noise, saved):
    kinds = {"a.webp": ("WEBP", {"lossless": True}), "a.tif": ("TIFF", {}), "a.ppm": ("PPM", {})}
    kinds |= {"a.bmp": ("BMP", {})}
    kind, options = kinds.get(name, ("PNG", {}))
    path = saved(Image.fromarray(noise), name, format=kind, **options)
    image = read_image(path, 12, 12, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, noise)
    image[0, 0, 0] = 1  # it is the caller's own


def test_jpeg(saved):
    path = saved(Image.new("RGB", (20, 20), (200, 100, 50)), "a.jpg", quality=95)
    np.testing.assert_allclose(pixel(path), (200, 100, 50), atol=3)


def test_grey_is_weighted_and_colour_of_grey_is_equal(saved):
    assert pixel(saved(Image.new("RGB", (4, 4), RED), "r.png"), 1) == (round(0.299 * 255),)
    assert pixel(saved(Image.new("RGB", (4, 4), GREEN), "g.png"), 1) == (round(0.587 * 255),)
    assert pixel(saved(Image.new("L", (4, 4), 77), "l.png")) == (77, 77, 77)
    assert pixel(saved(Image.new("L", (4, 4), 77), "l.png"), 1) == (77,)
    assert pixel(saved(Image.new("1", (4, 4), 1), "1.png")) == (255, 255, 255)


def test_what_covers_the_size_is_cut_about_the_centre(saved):
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, :8], wide[:, 8:16], wide[:, 16:] = RED, GREEN, BLUE
    for name, pixels in (("wide", wide), ("high", wide.transpose(1, 0, 2))):
        path = saved(Image.fromarray(np.ascontiguousarray(pixels)), f"{name}.png")
        np.testing.assert_array_equal(read_image(path, 8, 8, 3), np.broadcast_to(GREEN, (8, 8, 3)))
    upright = read_image(saved(Image.fromarray(wide), "wide.png"), 8, 24, 3)
    np.testing.assert_array_equal(upright, wide)
    assert read_image(saved(Image.fromarray(wide), "wide.png"), 5, 9, 3).shape == (5, 9, 3)


def test_shrinking_takes_all_pixels_into_account(saved):
    board = np.indices((96, 96)).sum(0) % 2 * 255
    image = read_image(saved(Image.fromarray(board.astype(np.uint8)), "a.png"), 8, 8, 1)
    np.testing.assert_allclose(image, 127.5, atol=1)


def test_enlarging(saved):
    assert pixel(saved(Image.new("RGB", (1, 1), (9, 8, 7)), "a.png")) == (9, 8, 7)


def stored(upright, orientation):
    """How a camera stores an upright image under an EXIF orientation (the tag's definition)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]


@pytest.mark.parametrize("kind", ["png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind, orientation, saved):
    upright = np.random.default_rng(1).integers(0, 256, (6, 10, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "webp" else {}
    image = Image.fromarray(np.ascontiguousarray(stored(upright, orientation)))
    path = saved(image, f"a.{kind}", exif=exif, **options)
    np.testing.assert_array_equal(read_image(path, 6, 10, 3), upright)


def test_the_first_frame_of_an_animation(saved):
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, GREEN, BLUE)]
    path = saved(frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert pixel(path) == RED


def test_what_is_transparent_lies_on_white(saved):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 51))
    assert pixel(saved(clear, "clear.png")) == (255, 255, 255)
    assert pixel(saved(half, "half.png")) == (255, 204, 204)
    assert pixel(saved(half, "half.webp", lossless=True)) == (255, 204, 204)
    assert pixel(saved(Image.new("LA", (4, 4), (0, 51)), "la.png")) == (204, 204, 204)
    assert pixel(saved(Image.new("LA", (4, 4), (0, 51)), "la.png"), 1) == (204,)


def test_key_colours(saved):
    colour = Image.new("RGB", (4, 4), BLUE)
    assert pixel(saved(colour, "a.png", transparency=BLUE)) == (255, 255, 255)
    assert pixel(saved(colour, "a.png", transparency=RED)) == BLUE
    grey = Image.new("L", (4, 4), 10)
    assert pixel(saved(grey, "b.png", transparency=10)) == (255, 255, 255)
    deep = Image.fromarray(np.full((4, 4), 3000, np.uint16))
    assert pixel(saved(deep, "c.png", transparency=3000)) == (255, 255, 255)
    assert pixel(saved(deep, "c.png", transparency=3001)) == (12, 12, 12)


@pytest.mark.parametrize("transparency", [1, bytes([255, 51])])
def test_palettes(transparency, saved):
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([*RED, *BLUE])
    assert pixel(saved(palette, "a.png")) == BLUE
    alone = (255, 255, 255) if transparency == 1 else (204, 204, 255)
    assert pixel(saved(palette, "a.png", transparency=transparency)) == alone
    assert pixel(saved(palette, "a.gif", transparency=0)) == BLUE


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_grey_of_16_bits_keeps_its_scale(name, saved):
    values = np.array([[0, 257], [128 * 257, 65535]], np.uint16)
    image = read_image(saved(Image.fromarray(values), name), 2, 2, 1)
    np.testing.assert_array_equal(image[..., 0], [[0, 1], [128, 255]])
    colour = read_image(saved(Image.fromarray(values), name), 2, 2, 3)
    np.testing.assert_array_equal(colour, image.repeat(3, axis=2))


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk(name, saved):
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    np.testing.assert_allclose(pixel(saved(cyan, name)), (0, 255, 255), atol=3)


def test_a_faulty_tag_harms_no_pixel_and_is_not_spoken_of(saved):
    path = saved(Image.new("RGB", (8, 8), (200, 100, 50)), "a.jpg", quality=95)
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe2\x00\x0cMPF\0faulty" + content[2:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(pixel(path), (200, 100, 50), atol=3)


def refused(path, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadImage) as caught:
            read_image(path, 4, 4, 3)
    message = str(caught.value)
    assert isinstance(caught.value, UserError)
    assert message.startswith(f"{path}: ") and reason in message and "\n" not in message


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tif", "ppm", "webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_short(kind, share, saved):
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    path = saved(Image.fromarray(noise), f"a.{kind}")
    assert read_image(path, 4, 4, 3).shape == (4, 4, 3)
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    refused(path, "")


def test_no_picture(tmp_path):
    empty, text, missing = tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "none.png"
    empty.write_bytes(b"")
    text.write_text("not a picture")
    refused(empty, "the file is empty")
    refused(text, "not a picture")
    refused(missing, "No such file")
    refused(tmp_path, "not a file")
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    refused(loop, "symbolic links")
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    refused(pipe, "not a file")


def test_no_other_program_is_started(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n")
    refused(path, "not a picture")


def test_a_decompression_bomb_is_what_pillow_refuses_not_what_it_warns_of(saved, monkeypatch):
    path = saved(Image.new("RGB", (12, 10)), "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 59)
    refused(path, "more than 118 pixels")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path, 4, 4, 3).shape == (4, 4, 3)


def test_a_png_that_claims_to_be_huge_is_refused_at_once(tmp_path):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    refused(path, "pixels")


def test_pixels_without_a_scale_are_refused(saved):
    refused(saved(Image.fromarray(np.ones((4, 4), np.float32)), "a.tif"), "32-bit")
    refused(saved(Image.fromarray(np.ones((4, 4), np.int32)), "b.tif"), "32-bit")


def test_a_damaged_png_is_refused(saved):
    path = saved(Image.new("RGB", (8, 8), RED), "a.png")
    content = path.read_bytes()
    for place in range(len(content) - 12):  # what follows is the end mark
        path.write_bytes(content[:place])
        refused(path, "")
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        refused(path, "")


def test_pad_and_stretch_keep_what_crop_cuts_off(saved):
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, :8], wide[:, 8:16], wide[:, 16:] = RED, GREEN, BLUE
    path = saved(Image.fromarray(wide), "wide.png")
    padded = read_image(path, 24, 24, 3, fit="pad")
    np.testing.assert_array_equal(padded[8:16], wide)
    assert not padded[:8].any() and not padded[16:].any()
    stretched = read_image(path, 8, 12, 3, fit="stretch")
    np.testing.assert_array_equal(stretched[:, [1, 5, 10]], [[RED, GREEN, BLUE]] * 8)


def smooth(height, width):
    """u8[H,W,3]: a slow wave in each channel."""
    rows, columns = np.mgrid[:height, :width] / 97
    waves = [np.sin(rows), np.cos(columns), np.sin(rows + columns)]
    return (128 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (800, 90)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_draft_is_nearly_the_full_picture(size, fit, saved):
    path = saved(Image.fromarray(smooth(*size)), "a.jpg", quality=95)
    full = read_image(path, 32, 32, 3, fit=fit).astype(int)
    draft = read_image(path, 32, 32, 3, fit=fit, decode="draft").astype(int)
    assert np.abs(draft - full).mean() < 2
    edges = 12 if fit == "pad" else 6  # the border of what is padded may move by part of a pixel
    assert np.percentile(np.abs(draft - full), 95) < edges


@pytest.mark.parametrize(
    ("size", "fit", "decoded"),
    [
        ((512, 512), "crop", (64, 64)),  # an eighth is just twice the result
        ((511, 511), "crop", (128, 128)),
        ((64, 64), "crop", (64, 64)),
        ((127, 127), "crop", (127, 127)),
        ((640, 128), "crop", (320, 64)),  # the shorter side covers
        ((640, 128), "pad", (80, 16)),  # the longer side fits
        ((640, 128), "stretch", (320, 64)),
    ],
)
def test_a_draft_has_at_least_twice_the_result_s_pixels_a_side(size, fit, decoded, saved):
    """By JPEG's scales: 1, 1/2, 1/4 and 1/8 of the size, rounded up."""
    path = saved(Image.fromarray(smooth(*size)), "a.jpg")
    seen = []
    original = JpegImageFile.load_end

    def spied(self):
        seen.append((self.height, self.width))
        return original(self)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(JpegImageFile, "load_end", spied, raising=False)
        read_image(path, 32, 32, 3, fit=fit, decode="draft")
    assert seen == [decoded]


def test_a_draft_of_a_turned_picture_is_upright(saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = smooth(900, 300)
    image = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
    path = saved(image, "a.jpg", exif=exif, quality=95)
    draft = read_image(path, 48, 16, 3, decode="draft").astype(int)
    full = read_image(saved(Image.fromarray(upright), "b.png"), 48, 16, 3).astype(int)
    assert np.abs(draft - full).mean() < 2


def test_other_formats_have_no_draft(noise, saved):
    path = saved(Image.fromarray(noise.repeat(8, 0).repeat(8, 1)), "a.png")
    np.testing.assert_array_equal(
        read_image(path, 4, 4, 3, decode="draft"), read_image(path, 4, 4, 3)
    )


def test_libtiff_says_nothing_on_stderr_and_the_error_names_the_file(saved, capfd):
    path = saved(Image.fromarray(smooth(64, 64)), "a.tif", compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    refused(path, "the file is damaged")
    assert capfd.readouterr().err == ""


def test_an_error_from_inside_a_decoder_is_explained(saved, monkeypatch):
    path = saved(Image.new("RGB", (8, 8)), "a.gif")
    monkeypatch.setattr(Image.Image, "load", lambda self: [][0])
    monkeypatch.setattr(type(Image.open(path)), "load", lambda self: [][0])
    refused(path, "the file is damaged (IndexError: list index out of range)")


def test_every_customary_extension_of_the_formats_is_known():
    names = ".jpg .jpeg .jpe .jfif .mpo .png .apng .gif .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm"
    assert extensions() >= set(names.split())
    for name in ("avif", "webp"):
        assert (f".{name}" in extensions()) == features.check(name)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow does not read AVIF")
def test_avif(saved):
    path = saved(Image.new("RGB", (16, 16), RED), "a.avif", quality=95)
    np.testing.assert_allclose(read_image(path, 4, 4, 3), np.full((4, 4, 3), RED), atol=6)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    refused(path, "")


def test_a_camera_s_picture_of_several_frames(saved):
    """MPO: a JPEG with further pictures after it, as stereo and portrait cameras write it."""
    frames = [Image.new("RGB", (16, 16), color) for color in (RED, BLUE)]
    path = saved(frames[0], "a.mpo", format="MPO", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(pixel(path), RED, atol=4)
