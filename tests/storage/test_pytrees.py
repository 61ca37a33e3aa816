"""Arrays in folders of any name; after a failed save, no error of Orbax is printed twice."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging

import numpy as np
import pytest

from cnn_jax.storage import pytrees

ODD = [
    "[a]",
    "[!a]",
    "a*",
    "a?",
    "back\\slash",
    "%41",
    "a\nb",
    "a b",
    "\N{GRINNING FACE}",
    "\udcff",
]
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


@pytest.mark.parametrize("name", ODD)
def test_a_folder_of_any_name_gives_back_what_was_written(name, tmp_path):
    """Orbax itself takes some of these as patterns, and loses what it writes without an error."""
    others = [tmp_path / other / "state" for other in ("a", "ab", "back/slash", "A")]
    for other in others:
        pytrees.write(other, {"x": np.zeros(3)})
    before = [sorted(other.rglob("*")) for other in others]
    folder = tmp_path / name / "state"
    pytrees.write(folder, {"x": np.arange(3.0)})
    assert pytrees.read(folder, {"x": np.zeros(3)})["x"].tolist() == [0, 1, 2]
    assert [sorted(other.rglob("*")) for other in others] == before
