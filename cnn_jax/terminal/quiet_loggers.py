"""Silences the loggers of libraries that say more than a user needs."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def errors_alone(name: str) -> Iterator[None]:
    """A block in which the logger of this name passes on errors alone."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
