"""Decodes many pictures on all cores, in order."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TypeVar

from cnn_jax.data.pictures.image_files import BadImage, Decoded, decode, quietly
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.runtime import host

T = TypeVar("T")
R = TypeVar("R")

# Pictures that a thread decodes at once, and groups of them in flight for each core.
GROUP, AHEAD = 8, 4
# Seconds of a core for a photo of 1000x750.
SECONDS = 0.01


def seconds_each() -> float:
    """A first estimate of the seconds for each picture, before any is decoded."""
    return SECONDS / host.cores()


def decode_all(paths: Iterable[Path], form: PictureForm) -> Generator[Decoded | BadImage]:
    """Yields each picture in the wanted form, or why it can't be read, in order.

    Close the generator, or exhaust it.
    """

    def decoded(path: Path) -> Decoded | BadImage:
        try:
            return decode(path, form)
        except BadImage as error:
            return error

    return in_threads(decoded, paths, form)


def in_threads(
    decode_one: Callable[[T], R], sources: Iterable[T], form: PictureForm
) -> Generator[R]:
    """Yields `decode_one` of each source of a picture of this form, in order.

    Pillow decodes and resizes without Python's lock, so threads use all cores. They work ahead of
    the caller by a bounded number of pictures. Close the generator, or exhaust it.
    """
    # A group of large pictures would take long, and much memory.
    size = max(1, min(GROUP, 2**20 // max(1, form.height * form.width)))
    remaining = iter(sources)
    groups = iter(lambda: list(itertools.islice(remaining, size)), [])
    cores = host.cores()

    def decoded(group: list[T]) -> list[R]:
        return [decode_one(source) for source in group]

    with quietly():
        pool = concurrent.futures.ThreadPoolExecutor(cores, "decode")
        try:
            ahead = collections.deque(
                pool.submit(decoded, group) for group in itertools.islice(groups, AHEAD * cores)
            )
            while ahead:
                yield from ahead.popleft().result()
                ahead.extend(pool.submit(decoded, group) for group in itertools.islice(groups, 1))
        finally:
            pool.shutdown(cancel_futures=True)
