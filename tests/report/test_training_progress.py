"""The bar on a terminal and the plain lines elsewhere, on a clock that the test turns."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from cnn_jax.report.training_progress import Progress
from cnn_jax.terminal.durations import duration


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Stage:
    """A progress of 8 epochs of 100 steps of 50 images, its output and its clock."""

    def __init__(self, terminal, width=100, **options):
        self.stream, self.clock = io.StringIO(), Clock()
        console = Console(
            file=self.stream, force_terminal=terminal, width=width, color_system=None, _environ={}
        )
        options = {"total_steps": 800, "steps_per_epoch": 100, "images_per_step": 50} | options
        self.progress = Progress(console=console, clock=self.clock, **options)

    def steps(self, first, last, seconds_each, **values):
        for step in range(first, last + 1):
            self.clock.now += seconds_each
            self.progress.update(step, **values)

    @property
    def lines(self):
        return self.stream.getvalue().splitlines()


TRAIN = {"step": 100, "epoch": 1, "split": "train", "loss": 1.2344, "accuracy": 0.567}
VALIDATION = {"step": 100, "epoch": 1, "split": "validation", "loss": 1.111, "accuracy": 0.601}


def test_plain_lines_come_every_15_seconds():
    stage = Stage(terminal=False)
    with stage.progress:
        stage.steps(1, 100, 0.5, loss=2.25, accuracy=0.125)
    assert stage.lines == [
        "epoch 1/8  step 30/800  100 images/s  loss 2.250 12.5%  6 min 25 s left",
        "epoch 1/8  step 60/800  100 images/s  loss 2.250 12.5%  6 min 10 s left",
        "epoch 1/8  step 90/800  100 images/s  loss 2.250 12.5%  5 min 55 s left",
    ]


def test_epoch_line_has_the_rows_speed_and_the_epochs_own_time():
    stage = Stage(terminal=False)
    with stage.progress:
        stage.progress.epoch_done(
            TRAIN | {"epoch": 3, "images_per_second": 850.4, "seconds": 123.4}, VALIDATION
        )
    assert stage.lines == [
        "epoch 3/8  train 1.234 56.7%  validation 1.111 60.1%  850 images/s  0.0 s"
    ]


def test_epoch_line_has_the_balanced_accuracy_where_it_selects():
    stage = Stage(terminal=False)
    with stage.progress:
        stage.progress.epoch_done(TRAIN, VALIDATION | {"balanced_accuracy": 0.4})
    assert "validation 1.111 60.1% (balanced 40.0%)  " in stage.lines[0]


def test_epoch_line_measures_speed_and_time_itself_without_compilation_or_evaluation():
    stage = Stage(terminal=False)
    with stage.progress:
        stage.clock.now += 60  # compilation
        stage.steps(1, 1, 0)
        stage.steps(2, 100, 0.1)
        stage.clock.now += 30  # evaluation
        stage.progress.epoch_done(TRAIN)
        stage.clock.now += 20  # saving
        stage.steps(101, 101, 0)
        stage.steps(102, 200, 0.05)
        stage.progress.epoch_done(TRAIN | {"epoch": 2})
    lines = [line for line in stage.lines if "train" in line]
    assert lines == [
        "epoch 1/8  train 1.234 56.7%  500 images/s  1 min 40 s",
        "epoch 2/8  train 1.234 56.7%  1,000 images/s  25 s",
    ]


def test_speed_follows_the_last_20_seconds():
    stage = Stage(terminal=False)
    with stage.progress:
        stage.steps(1, 61, 1.0)
        stage.steps(62, 301, 0.25)
    speeds = [int(re.search(r"(\d+) images/s", line)[1]) for line in stage.lines]
    assert speeds[0] == 50
    assert speeds[-1] == 200
    assert speeds == sorted(speeds)


def test_loss_and_accuracy_keep_their_last_known_value():
    stage = Stage(terminal=False)
    with stage.progress:
        stage.progress.update(1, loss=0.5)
        stage.steps(2, 2, 20)
        stage.progress.update(3, accuracy=0.75)
        stage.steps(4, 4, 20)
    assert "loss 0.500  " in stage.lines[0]
    assert "loss 0.500 75.0%" in stage.lines[1]


@pytest.mark.parametrize(("step", "epoch"), [(1, 1), (100, 1), (101, 2), (200, 2), (800, 8)])
def test_a_step_is_counted_to_the_epoch_it_belongs_to(step, epoch):
    stage = Stage(terminal=False)
    with stage.progress:
        stage.steps(step, step, 20)
    assert stage.lines[0].startswith(f"epoch {epoch}/8  step {step}/800")


def test_an_epoch_line_puts_off_the_next_plain_line():
    stage = Stage(terminal=False)
    with stage.progress:
        stage.steps(1, 14, 1.0)
        stage.progress.epoch_done(TRAIN)
        stage.steps(15, 28, 1.0)
    assert len(stage.lines) == 1


def test_resuming_counts_from_the_restored_step_and_fractional_epochs_are_shown():
    stage = Stage(terminal=False, total_steps=250, start_step=200)
    with stage.progress:
        stage.steps(201, 201, 0)
        stage.steps(202, 221, 1.0)
        stage.progress.epoch_done(TRAIN | {"epoch": 2.5})
    assert stage.lines[0] == "epoch 2.5/2.5  step 216/250  50 images/s  34 s left"
    assert stage.lines[1].startswith("epoch 2.5/2.5  train")


def test_notes_are_printed_as_they_are_and_never_wrapped():
    text = "saved [bold] checkpoint 200 :smile: " + "x" * 200
    stage = Stage(terminal=False, width=40)
    with stage.progress:
        stage.progress.note(text)
    assert stage.lines == [text]


def screen(text):
    """The lines that a terminal shows after these characters (moves up, erasures, returns)."""
    lines, current = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            current += 1
            lines += [""] * (current + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            current -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[current] = ""
        elif part[0] not in "\r\x1b":
            lines[current] += part
    return [line.rstrip() for line in lines]


def test_a_terminal_has_a_bar_that_leaves_only_the_permanent_lines():
    stage = Stage(terminal=True)
    with stage.progress:
        assert "epoch 1/8" in screen(stage.stream.getvalue())[-1]
        stage.steps(1, 100, 0.5, loss=2.25, accuracy=0.125)
        bar = screen(stage.stream.getvalue())[-1]
        assert bar.startswith("epoch 1/8 ━")
        assert bar.endswith("100 images/s  loss 2.250 12.5%  5 min 50 s left")
        stage.progress.epoch_done(TRAIN, VALIDATION)
        stage.steps(101, 110, 0.5)
        assert screen(stage.stream.getvalue())[-1].startswith("epoch 2/8 ━")
        stage.progress.note("saved")
    permanent = [line for line in screen(stage.stream.getvalue()) if line]
    assert permanent == [
        "epoch 1/8  train 1.234 56.7%  validation 1.111 60.1%  100 images/s  50 s",
        "saved",
    ]


def test_a_terminal_is_redrawn_five_times_a_second_at_most():
    stage = Stage(terminal=True)
    with stage.progress:
        before = stage.stream.getvalue().count("epoch")
        stage.steps(1, 500, 0.01)
        redrawn = stage.stream.getvalue().count("epoch") - before
    assert 20 <= redrawn <= 25


def test_a_narrow_terminal_gives_up_the_bar_before_the_numbers():
    stage = Stage(terminal=True, width=62)
    with stage.progress:
        stage.steps(1, 100, 0.5, loss=2.25, accuracy=0.125)
        bar = screen(stage.stream.getvalue())[-1]
    assert bar.startswith("epoch 1/8") and bar.endswith("5 min 50 s left")


def test_the_bar_goes_when_the_run_fails():
    stage = Stage(terminal=True)
    with pytest.raises(RuntimeError), stage.progress:
        stage.steps(1, 100, 0.5)
        raise RuntimeError
    assert [line for line in screen(stage.stream.getvalue()) if line] == []
    assert "\x1b[?25h" in stage.stream.getvalue()  # the cursor is back


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.16, "4.2 s"),
        (9.96, "10 s"),
        (41.4, "41 s"),
        (59.6, "1 min 00 s"),
        (83, "1 min 23 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text
