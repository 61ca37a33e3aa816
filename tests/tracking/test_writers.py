"""What a tracker is told, and what happens to one that fails."""

from __future__ import annotations

import dataclasses
import json

import pytest
from program import one_line
from small_run import EXPERIMENT, QUIET

from cnn_jax import cli
from cnn_jax.optim import SGD
from cnn_jax.runs.workdir import Run
from cnn_jax.tracking.writer import Writer
from cnn_jax.train import Diverged, train

ORDER = ["begin", *["write"] * 7, "finish", "close"]


class Notes(Writer):
    """Notes what it is told."""

    def __init__(self):
        self.calls, self.runs, self.earlier, self.endings = [], [], [], []

    def begin(self, run, rows):
        self.calls.append("begin")
        self.runs.append(run)
        self.earlier.append([row["step"] for row in rows])

    def write(self, row):
        self.calls.append("write")

    def finish(self, summary):
        self.calls.append("finish")
        self.summary = summary

    def close(self, ending):
        self.calls.append("close")
        self.endings.append(ending)


class Fails(Notes):
    """Notes what it is told, and fails at one of the calls."""

    def __init__(self, method):
        super().__init__()
        self.method = method

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "__dict__").get("method"):
            self.calls.append(name)
            raise ConnectionError("first line\nsecond line")
        return super().__getattribute__(name)


def test_calls_come_in_order(tmp_path):
    notes = Notes()
    result = train(EXPERIMENT, tmp_path / "run", writers=[notes], console=QUIET)
    assert notes.calls == ORDER
    assert notes.summary == result.summary
    assert notes.endings == ["finished"]
    (run,) = notes.runs
    assert (run.folder, run.recipe) == (tmp_path / "run", "")
    assert run.launch["software"]["python"]
    # The same again, of a run that has finished.
    train(EXPERIMENT, tmp_path / "run", writers=[notes], console=QUIET)
    assert notes.calls == [*ORDER, "begin", "finish", "close"]
    assert notes.earlier == [[], [row["step"] for row in Run(tmp_path / "run").metrics.rows()]]


@pytest.mark.parametrize("method", ["begin", "write", "finish", "close"])
def test_row_38_one_that_fails_is_left_out_and_ends_nothing(method, tmp_path, capsys):
    fails, notes = Fails(method), Notes()
    result = train(EXPERIMENT, tmp_path / "run", writers=[fails, notes])
    assert result.summary["finished"]
    assert fails.calls == ORDER[: ORDER.index(method) + 1]
    assert notes.calls == ORDER
    output = " ".join(capsys.readouterr().out.split())
    assert output.count("Fails is left out from here on (ConnectionError: first line);") == 1
    assert "second line" not in output


def test_a_run_keeps_its_identity_and_others_have_their_own(tmp_path):
    notes = Notes()

    class GiveUp(Exception):
        pass

    def give_up(rows):
        raise GiveUp

    for on_epoch in (give_up, None):
        try:
            train(EXPERIMENT, tmp_path / "a", writers=[notes], on_epoch=on_epoch, console=QUIET)
        except GiveUp:
            (tmp_path / "a").rename(tmp_path / "moved")
            (tmp_path / "moved").rename(tmp_path / "a")
    train(EXPERIMENT, tmp_path / "b", writers=[notes], console=QUIET)
    first, again, other = [run.identity for run in notes.runs]
    assert first == again != other
    assert len(first) == 32 and int(first, 16)
    assert notes.endings == ["stopped", "finished", "finished"]
    assert notes.earlier[0] == [] and notes.earlier[1]


def test_an_older_run_has_an_identity_too(tmp_path):
    train(EXPERIMENT, tmp_path / "run", console=QUIET)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    del manifest["id"]
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    notes = Notes()
    for _ in range(2):
        train(EXPERIMENT, tmp_path / "run", writers=[notes], console=QUIET)
    first, again = [run.identity for run in notes.runs]
    assert first == again
    assert len(first) == 32 and int(first, 16)


def test_a_run_that_diverges_has_failed(tmp_path):
    notes = Notes()
    wild = dataclasses.replace(EXPERIMENT, optimizer=SGD(peak_lr=1e20))
    with pytest.raises(Diverged):
        train(wild, tmp_path / "run", writers=[notes], console=QUIET)
    assert notes.endings == ["failed"] and "finish" not in notes.calls


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("mlfow", "--track: unknown name 'mlfow'. Did you mean mlflow?"),
        ("mlflow(shop='x')", "--track: mlflow has no argument 'shop'."),
        ("SGD", "--track: "),
    ],
)
def test_mistakes_are_one_line(given, message, capsys, tmp_path):
    assert cli.main(["run.py", f"--track={given}", f"--workdir={tmp_path}/run"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and one_line(error)
    assert not (tmp_path / "run").exists()


def test_without_mlflow_it_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["run.py", "--track=mlflow", f"--workdir={tmp_path}/run"]) == 2
    assert "pip install -e '.[mlflow]'" in capsys.readouterr().err.splitlines()[-1]
