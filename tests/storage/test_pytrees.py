"""After a failed save, errors of Orbax's other writes are not printed a second time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging

import numpy as np
import pytest

from cnn_jax.storage import pytrees

UNRETRIEVED = "Task exception was never retrieved"


class FailingCheckpointer:
    """Starts two writes that fail, and reports the first, as Orbax does on a full disk."""

    def __init__(self, fails: bool):
        self.fails = fails

    def save(self, folder, args):
        async def write():
            raise OSError("no space left")

        async def write_both():
            tasks = [asyncio.ensure_future(write()) for _ in range(2)]
            await asyncio.sleep(0)
            await tasks[0]

        if self.fails:
            asyncio.run(write_both())


@pytest.fixture
def asyncio_logger(monkeypatch):
    logger = logging.getLogger("asyncio")
    monkeypatch.setattr(logger, "filters", [])
    monkeypatch.setattr("sys.unraisablehook", pytrees.sys.unraisablehook)
    return logger


def save(monkeypatch, folder, fails):
    checkpointer = contextlib.nullcontext(FailingCheckpointer(fails))
    monkeypatch.setattr(pytrees, "_checkpointer", lambda: checkpointer)
    pytrees.write(folder, {"weights": np.zeros(3)})


def test_a_failed_save_is_reported_once(asyncio_logger, monkeypatch, tmp_path, caplog):
    with pytest.raises(OSError, match="no space left"):
        save(monkeypatch, tmp_path / "state", fails=True)
    save(monkeypatch, tmp_path / "state", fails=False)
    gc.collect()
    assert caplog.records == []
    asyncio_logger.error(UNRETRIEVED)
    asyncio_logger.error("another error")
    assert caplog.messages == ["another error"]


def test_without_a_failed_save_every_error_is_logged(asyncio_logger, monkeypatch, tmp_path, caplog):
    save(monkeypatch, tmp_path / "state", fails=False)
    asyncio_logger.error(UNRETRIEVED)
    assert caplog.messages == [UNRETRIEVED]
