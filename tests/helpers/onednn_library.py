"""oneDNN for tests: it is only there on Linux, on x86-64, with the extra `test` and a compiler."""

from __future__ import annotations

import pytest

from cnn_jax.errors import UserError
from cnn_jax.native import library


def needed() -> None:
    """Skips the test where oneDNN can't be used."""
    try:
        library.load()
    except UserError as error:
        pytest.skip(str(error))
