"""What users and scripts do to a run's folder between launches, and under its feet."""

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest
from program import TINY, one_line
from same_run import assert_same_run
from small_run import EXPERIMENT, QUIET

from cnn_jax import cli
from cnn_jax.errors import RunFailed
from cnn_jax.export import export
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.workdir import Run
from cnn_jax.storage import files
from cnn_jax.train import train


@pytest.mark.parametrize("name", ["9", "12", "160"])
def test_row_4_a_checkpoint_under_another_step_s_name_is_not_believed(name, finished, unfinished):
    checkpoints = unfinished / "checkpoints"
    shutil.copytree(checkpoints / "8", checkpoints / name)
    warned: list[str] = []
    assert Run(unfinished).checkpoints(warn=warned.append).latest() == 8
    (line,) = warned
    assert f"checkpoints/{name} is damaged: it is step 8" in line
    train(EXPERIMENT, unfinished, console=QUIET)
    assert_same_run(finished, unfinished)


def test_checkpoints_without_a_config_are_not_taken_over(unfinished):
    (unfinished / "config.json").unlink()
    before = sorted(unfinished.rglob("*"))
    with pytest.raises(RunError, match=r"without its config\.json") as error:
        train(EXPERIMENT, unfinished, console=QUIET)
    assert one_line(str(error.value))
    assert {path.name for path in {*unfinished.rglob("*")} - {*before}} <= {".lock"}


def test_a_lost_record_of_launches_stops_no_run(finished, unfinished):
    (unfinished / "manifest.json").unlink()
    train(EXPERIMENT, unfinished, console=QUIET)
    assert_same_run(finished, unfinished)
    assert len(json.loads((unfinished / "manifest.json").read_text())["launches"]) == 1


@pytest.mark.parametrize("what", ["the folder", "what is in it"])
def test_row_5_a_run_that_has_lost_all_checkpoints_does_not_start_again(
    what, finished, unfinished, tmp_path
):
    checkpoints, log = unfinished / "checkpoints", unfinished / "metrics.jsonl"
    checkpoints.rename(tmp_path / "elsewhere")
    if what == "what is in it":
        checkpoints.mkdir()
    before = log.read_bytes()
    with pytest.raises(RunFailed, match=r"goes to step 12.*restore them.*metrics\.jsonl") as error:
        train(EXPERIMENT, unfinished, console=QUIET)
    assert one_line(f"error: {error.value}")
    assert log.read_bytes() == before
    if what == "the folder":
        (tmp_path / "elsewhere").rename(checkpoints)  # as it is told
    else:
        log.unlink()
    train(EXPERIMENT, unfinished, console=QUIET)
    assert_same_run(finished, unfinished)


@pytest.mark.parametrize("saving", [True, False])
def test_a_run_killed_before_its_first_checkpoint_starts_again(
    saving, finished, unfinished, capsys
):
    """Its first row is of step 4, or it went on while that step was being saved."""
    shutil.rmtree(unfinished / "checkpoints")
    (unfinished / "checkpoints").mkdir()
    if saving:
        (unfinished / "checkpoints" / "4.saving").mkdir()
    else:
        Run(unfinished).metrics.truncate(4)
    train(EXPERIMENT, unfinished)
    assert "starts from the beginning" in capsys.readouterr().out
    assert_same_run(finished, unfinished)


def test_row_11_a_finished_run_without_its_checkpoints_stays_finished(finished, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "checkpoints")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = train(EXPERIMENT, folder)
    assert result.state is None
    assert result.summary == json.loads((folder / "summary.json").read_text())
    said = " ".join(capsys.readouterr().out.split())
    assert "finished already" in said and "nothing can be restored" in said
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_row_11_a_finished_run_without_its_newest_checkpoint_is_told(finished, tmp_path, caplog):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    export(folder, console=QUIET)
    assert not caplog.messages
    shutil.rmtree(folder / "checkpoints" / "12")
    export(folder, console=QUIET)
    (line,) = caplog.messages
    assert "the result belongs to step 12" in line and "restored step 8 instead" in line
    trained = json.loads((folder / "exported" / "model.json").read_text())["trained"]
    assert trained["step"] == 8
    told = [trained[key] for key in ("finished", "test_accuracy", "test_loss")]
    assert told == [False, None, None]


def test_a_run_killed_between_its_test_and_its_summary_shows_the_test_once(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "summary.json").unlink()
    train(EXPERIMENT, folder, console=QUIET)
    assert_same_run(finished, folder)


def test_row_28_a_file_system_without_locks_and_flushing_is_two_warnings(
    finished, tmp_path, monkeypatch, caplog
):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(files, "_warned_devices", set())
    monkeypatch.setattr("fcntl.flock", unsupported)
    monkeypatch.setattr("os.fsync", unsupported)
    train(EXPERIMENT, tmp_path / "run", console=QUIET)
    assert_same_run(finished, tmp_path / "run")
    assert len(caplog.messages) == 2 and all(str(tmp_path) in line for line in caplog.messages)
    assert not (tmp_path / "run" / ".lock.held").exists()


@pytest.mark.parametrize("what", ["moved", "removed"])
def test_a_folder_that_goes_while_training_ends_the_run(what, tmp_path):
    folder = tmp_path / "run"
    epochs = []

    def go(rows):
        epochs.append(rows)
        folder.rename(tmp_path / "elsewhere")  # a save may be going on in it
        if what == "removed":
            shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)

    with pytest.raises(RunFailed, match="moved or removed"):
        train(EXPERIMENT, folder, on_epoch=go, console=QUIET)
    assert len(epochs) == 1
    assert not (folder / "metrics.jsonl").exists()


@pytest.mark.parametrize("mode", ["evaluate", "explain", "export", "report"])
def test_a_folder_that_is_not_to_be_written_is_told_before_anything_is_computed(
    mode, finished, monkeypatch, capsys
):
    """Who runs the tests may have every right, so that no folder is closed to them."""
    monkeypatch.setattr("os.access", lambda path, rights: not rights & os.W_OK)
    monkeypatch.setattr("cnn_jax.runs.workdir.Run.checkpoints", None)  # not to be reached
    before = sorted(finished.rglob("*"))
    assert cli.main(["run.py", f"--mode={mode}", f"--workdir={finished}"]) == 2
    error = capsys.readouterr().err
    error = error[error.index("error: ") :]
    assert one_line(error) and str(finished) in error and "nothing can be written" in error
    assert sorted(finished.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--workdir="], "--workdir= is empty"),
        (["--workdir=~nosuchuser/run"], "~nosuchuser"),
        (["--mode=predict", "--workdir=run", ""], "empty"),
        (["--mode=predict", "--workdir=run", "~nosuchuser/x.png"], "~nosuchuser"),
        ([f"--workdir={'x' * 300}"], "File name too long"),
        ([f"--config={'x' * 300}.py"], "No recipe file"),
        (["--mode=predict", "--workdir=run", f"{'x' * 300}.png"], "File name too long"),
        (["--mode=evaluate", "--workdir=~/run"], "/home-of-tests/run"),
    ],
)
def test_names_of_folders_are_read_as_a_shell_would(arguments, named, monkeypatch, capsys):
    monkeypatch.setenv("HOME", "/home-of-tests")
    assert cli.main(["run.py", *arguments]) == 2
    error = capsys.readouterr().err
    assert named in error and "Traceback" not in error


def test_a_sweep_of_which_every_run_diverges_fails(tmp_path, capsys):
    arguments = (*TINY, "--config.epochs=1", "--mode=sweep", f"--workdir={tmp_path}")
    assert cli.main(["run.py", *arguments, "--sweep=optimizer.peak_lr=1e30"]) == 1
    assert "every run of the sweep diverged" in capsys.readouterr().err
