"""What TFDS and the readers of its files raise or log, as this package says it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.data.dataset import DataInvalid
from cnn_jax.data.tfds.tfrecord import RecordDamaged
from cnn_jax.errors import first_line
from cnn_jax.terminal.quiet_loggers import errors_alone

RESTORE = "restore it from a copy, or prepare the data set again in another folder"


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Converts any error of the block to a DataInvalid that names a file.

    Only a wrong checksum is called damage, and no file is to be deleted: others may use it.
    """
    try:
        yield
    except DataInvalid:
        raise
    except RecordDamaged as error:
        raise DataInvalid(f"{path} is damaged ({error}): {RESTORE}") from error
    except OSError as error:
        name, reason = error.filename or path, error.strerror or first_line(error)
        raise DataInvalid(f"{name} cannot be read ({reason})") from error
    except MemoryError as error:
        raise DataInvalid(f"{path} cannot be read: not enough memory is free") from error
    except Exception as error:
        reason = first_line(error) or type(error).__name__
        raise DataInvalid(f"{path} cannot be read ({reason}): {RESTORE}") from error


def quiet() -> contextlib.AbstractContextManager[None]:
    """A block in which TFDS logs errors alone, and not that OpenCV would be faster."""
    return errors_alone("absl")
