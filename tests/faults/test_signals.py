"""Row 2 of docs/reliability.md: requests to stop, alone and in bursts, and at awkward moments."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time

import pytest
from program import TINY, one_line, start
from same_run import untimed
from small_run import EXPERIMENT, QUIET

from cnn_jax import cli
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import signals
from cnn_jax.tracking.writer import Writer
from cnn_jax.train import Interrupted, train

LATER = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(autouse=True)
def unheard(monkeypatch):
    """No signal has come so far, and every one has its default action, as in a new process."""
    monkeypatch.setattr(signals, "_last_request", -1e9)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in signals.SIGNALS}
    yield
    for number, handler in before.items():
        assert signal.signal(number, handler) is signal.SIG_DFL


def send(number: int) -> None:
    """Sends a signal to this process, which must handle it: the default action ends the tests."""
    assert signal.getsignal(number) is not signal.SIG_DFL
    signal.raise_signal(number)


def send_at(monkeypatch, where: str, *numbers: int) -> None:
    """Sends signals when the program calls the function with this name."""

    def instead(*_, **__):
        for number in numbers:
            send(number)

    monkeypatch.setattr(where, instead)


def said(capsys) -> str:
    """The one line on standard error, besides those on overridden settings."""
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "discards" not in x]
    assert one_line(line)
    return line


def test_row_2_a_burst_of_signals_is_one_request_and_a_later_one_ends_the_block(monkeypatch):
    with pytest.raises(KeyboardInterrupt), signals.noted() as stop:
        assert stop.after(1) is None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            send(number)
        assert stop.after(2) == signal.SIGTERM
        monkeypatch.setattr(signals, "ONE_REQUEST", 0)
        send(signal.SIGINT)


@pytest.mark.parametrize("warning", signals.WARNINGS)
@pytest.mark.parametrize("kill", LATER)
def test_row_2_a_warning_and_the_signal_that_follows_it_are_one_request(warning, kill, monkeypatch):
    monkeypatch.setattr(signals, "ONE_REQUEST", 0)
    with signals.noted() as stop:
        for number in (warning, kill, *signals.WARNINGS):
            send(number)
            assert stop.after(1) == warning
        with pytest.raises(KeyboardInterrupt) as raised:
            send(kill)
    assert signals.exit_code(raised.value) == 128 + kill


def test_row_2_a_request_in_a_block_is_known_to_the_block_around_it(monkeypatch):
    """Warnings that the kernel repeats must not stop the save after the last step."""
    monkeypatch.setattr(signals, "ONE_REQUEST", 0)
    with signals.raised():
        with signals.noted() as stop:
            send(signal.SIGXCPU)
            assert stop.after(1) == signal.SIGXCPU
        for _ in range(3):
            send(signal.SIGXCPU)
        send(signal.SIGTERM)  # that of the scheduler, after its warning
        with pytest.raises(signals.Terminated):
            send(signal.SIGTERM)


def test_row_2_a_request_after_the_last_step_is_raised_at_the_end_of_the_block():
    with pytest.raises(signals.Terminated) as raised, signals.noted() as stop:
        assert stop.after(1) is None
        send(signal.SIGUSR1)
    assert signals.exit_code(raised.value) == 128 + signal.SIGUSR1


def test_row_2_under_jax_distributed_the_processes_agree_on_the_step_for_every_signal(monkeypatch):
    told = []
    monkeypatch.setattr("jax.distributed.is_initialized", lambda: True)
    monkeypatch.setattr(
        "jax.experimental.multihost_utils.reached_preemption_sync_point",
        lambda step: bool(told) and step == 3,
    )
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))  # in JAX's place
    with signals.noted() as stop:
        assert stop.after(1) is None
        send(signal.SIGUSR1)
        assert told == [signal.SIGTERM]
        assert [stop.after(2), stop.after(3), stop.after(4)] == [None, *2 * [signal.SIGUSR1]]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_that_is_ignored_stays_ignored(number):
    """`nohup` ignores SIGHUP, and a shell without job control Ctrl-C."""
    signal.signal(number, signal.SIG_IGN)
    with signals.noted() as stop:
        signal.raise_signal(number)
        assert stop.after(1) is None
    assert signal.signal(number, signal.SIG_DFL) is signal.SIG_IGN


def test_a_program_that_handles_a_warning_itself_keeps_its_handler():
    """As submitit does, which puts the job into the queue again."""
    heard = []
    signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    with signals.noted() as stop:
        send(signal.SIGUSR1)
        assert stop.after(1) is None
    assert heard == [signal.SIGUSR1]
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_row_2_each_signal_is_noted_while_training_and_raised_elsewhere(number, monkeypatch):
    with signals.noted() as stop:
        send(number)
        assert stop.after(1) == number
    monkeypatch.setattr(signals, "_last_request", -1e9)
    with pytest.raises(KeyboardInterrupt) as raised, signals.raised():
        send(number)
    assert signals.exit_code(raised.value) == 128 + number


def test_row_2_a_warning_while_training_saves_the_step_and_the_run_resumes(finished, tmp_path):
    class Sender(Writer):
        def write(self, row):
            if (row["step"], row["split"]) == (8, "train"):
                send(signal.SIGUSR1)

    options = {"log_every_steps": 2, "console": QUIET}
    with pytest.raises(Interrupted) as stop:
        train(EXPERIMENT, tmp_path, writers=[Sender()], **options)
    assert stop.value.signal == signal.SIGUSR1 and "step 9 is saved" in str(stop.value)
    assert Run(tmp_path).checkpoints().latest() == 9
    train(EXPERIMENT, tmp_path, **options)
    assert untimed(tmp_path)[-1] == untimed(finished)[-1]


@pytest.mark.parametrize(
    ("where", "arguments", "next_start"),
    [
        ("cnn_jax.data.Shapes.load", [], "the same command starts the run"),
        ("cnn_jax.data.Shapes.load", ["--dry_run"], "the same command starts from the beginning"),
        ("cnn_jax.modes.evaluate.evaluate", ["--mode=evaluate"], "starts from the beginning"),
        ("cnn_jax.modes.benchmark.benchmark", ["--mode=benchmark"], "starts from the beginning"),
        ("cnn_jax.modes.sweep.sweep", ["--mode=sweep", "--sweep=seed=0,1"], "have not finished"),
        ("cnn_jax.modes.list_recipes.show", ["--list"], ""),
        ("cnn_jax.config.parse", [], ""),
    ],
)
def test_row_2_outside_the_steps_it_stops_at_once_and_says_what_the_command_does_next(
    where, arguments, next_start, monkeypatch, tmp_path, capsys
):
    send_at(monkeypatch, where, signal.SIGUSR1)
    config = [] if "--mode=evaluate" in arguments else TINY
    command = ["run.py", *config, f"--workdir={tmp_path}", *arguments]
    assert cli.main(command) == 128 + signal.SIGUSR1
    line = said(capsys)
    assert line.startswith("interrupted") and line.endswith(next_start)
    assert bool(next_start) == (": " in line)


def test_row_2_stopped_before_its_steps_a_run_with_checkpoints_is_said_to_resume(
    unfinished, monkeypatch, capsys
):
    (unfinished / "config.json").unlink()  # so that the command line's need not be the same
    send_at(monkeypatch, "cnn_jax.setup.Setup.of", signal.SIGTERM)
    assert cli.main(["run.py", *TINY, f"--workdir={unfinished}"]) == 143
    assert said(capsys) == "interrupted: the same command resumes the run"


def test_row_2_asked_to_stop_in_the_last_test_says_so_and_the_same_call_finishes(
    unfinished, monkeypatch, capsys
):
    with monkeypatch.context() as patch, pytest.raises(signals.Terminated) as stop:
        send_at(patch, "cnn_jax.runs.recorder.draw_figures", *[signal.SIGTERM] * 3)
        with signals.raised():
            train(EXPERIMENT, unfinished, console=QUIET)
    assert f"step 12 is saved in {unfinished}" in str(stop.value.__notes__)
    assert not Run(unfinished).summary()
    train(EXPERIMENT, unfinished)
    assert "resumed at step 12 of 12" in capsys.readouterr().out
    assert Run(unfinished).summary()


@pytest.mark.parametrize("number", LATER)
def test_a_second_signal_while_the_first_is_reported_ends_it_without_a_traceback(
    number, monkeypatch, capsys
):
    monkeypatch.setattr(signals, "ONE_REQUEST", 0)
    send_at(monkeypatch, "cnn_jax.config.parse", number)
    send_at(monkeypatch, "cnn_jax.cli._interrupted", number)
    assert cli.main(["run.py"]) == 128 + number
    assert not capsys.readouterr().err


def test_stopped_together_with_the_reader_of_what_it_prints(monkeypatch):
    """Ctrl-C also stops the `tee` of `run.py 2>&1 | tee log`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        send_at(monkeypatch, "cnn_jax.config.parse", signal.SIGINT)
        assert cli.main(["run.py"]) == 130


def test_row_2_signals_until_the_process_has_ended_change_neither_its_code_nor_its_output():
    """The first comes while libraries load or later; the others also while Python shuts down."""
    process = start(*TINY, "--list", "--nocpu_tuning")
    assert process.stdout
    first = process.stdout.readline()
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    printed = first + process.stdout.read()
    assert process.returncode in (0, 143)
    assert "Traceback" not in printed and "Error" not in printed


@pytest.mark.parametrize("opened", [pty.openpty, os.pipe], ids=["terminal", "pipe"])
def test_row_2_printing_to_what_closed_with_the_terminal_is_no_error(opened, monkeypatch):
    other_end, output = opened()
    with os.fdopen(output, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        os.close(other_end)
        with signals.noted() as stop:
            send(signal.SIGHUP)
            assert stop.after(1) == signal.SIGHUP
            print("lost", file=stdout, flush=True)
