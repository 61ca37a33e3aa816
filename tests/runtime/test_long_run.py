"""A long run keeps nothing of the epochs before; docs/performance.md has the measured memory."""

from __future__ import annotations

import dataclasses
import gc
import threading

import jax
from small_run import EXPERIMENT, QUIET

from cnn_jax.train import train


def test_an_epoch_leaves_no_array_and_a_run_no_thread(tmp_path, monkeypatch):
    monkeypatch.setattr("cnn_jax.runs.recorder.draw_figures", lambda *_: None)  # takes seconds
    arrays, threads = {}, threading.active_count()

    def count(rows):
        epoch = rows[0]["epoch"]
        if epoch in (3, 12):
            gc.collect()
            arrays[epoch] = len(jax.live_arrays())

    longer = dataclasses.replace(EXPERIMENT, epochs=12)
    train(longer, tmp_path, on_epoch=count, console=QUIET)
    assert arrays[3] == arrays[12]
    assert threading.active_count() == threads
