"""The formats of picture files that are read. Pillow is imported only when it is asked."""

import functools

# Pillow reads more, but starts another program for some formats, and accepts a truncated JPEG 2000
# file as complete.
FORMATS = {
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
# Formats that a build of Pillow may lack.
OPTIONAL = ("AVIF", "WEBP")


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats that this Pillow reads and that are accepted."""
    from PIL import features

    return tuple(f for f in FORMATS if f not in OPTIONAL or features.check(f.lower()))


@functools.cache
def extensions() -> frozenset[str]:
    """The extensions of the files of these formats: ".avif", ".bmp", ..."""
    return frozenset(extension for name in formats() for extension in FORMATS[name])
