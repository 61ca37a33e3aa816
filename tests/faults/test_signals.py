"""Row 2 of docs/reliability.md: signals that come in bursts, and where no step can be finished."""

from __future__ import annotations

import signal

import pytest
from program import TINY, one_line

from cnn_jax import cli
from cnn_jax.runtime import signals


@pytest.fixture(autouse=True)
def unheard(monkeypatch):
    """No signal has come so far, and one that the program does not take fails the test."""
    monkeypatch.setattr(signals, "_last_request", -1e9)
    before = {number: signal.signal(number, missed) for number in signals.SIGNALS}
    yield
    for number, handler in before.items():
        assert signal.signal(number, handler) is missed


def missed(number, frame):
    pytest.fail(f"signal {number} was not handled")


def test_row_2_a_burst_of_signals_is_one_request_and_a_later_one_ends_the_block(monkeypatch):
    with pytest.raises(KeyboardInterrupt), signals.noted() as stop:
        assert stop.after(1) is None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
        assert stop.after(2) == signal.SIGTERM
        monkeypatch.setattr(signals, "ONE_REQUEST", 0)
        signal.raise_signal(signal.SIGINT)


def test_row_2_asked_to_stop_in_the_last_test_says_so_and_the_same_command_finishes(
    tmp_path, monkeypatch, capsys
):
    smaller = ("--config.model=MLP(hidden=(4,))", "--config.epochs=1", "--config.tta=none")
    command = ["run.py", *TINY, *smaller, f"--workdir={tmp_path}/run"]

    def burst(*_):
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("cnn_jax.runs.recorder.draw_figures", burst)
        assert cli.main(command) == 143
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "discards" not in line]
    assert said.startswith("interrupted: ") and one_line(said)
    assert not (tmp_path / "run" / "summary.json").exists()
    assert cli.main(command) == 0
    assert "resumed at step 8 of 8" in capsys.readouterr().out
