"""Files where a folder has to be, and files that others leave in a run's folder."""

from __future__ import annotations

import pytest
from program import TINY, one_line

from cnn_jax.cli import main
from cnn_jax.runs.workdir import FOLDERS
from cnn_jax.storage import digests


@pytest.mark.parametrize("mode", ["train", "sweep", "benchmark", "volumes", "evaluate", "predict"])
def test_row_8_a_file_as_the_workdir_is_called_a_file(mode, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    more = {"sweep": ["--sweep=seed=0,1"], "predict": ["x.png"]}.get(mode, [])
    assert main(["run.py", f"--mode={mode}", f"--workdir={tmp_path}/file", *more]) == 2
    said = capsys.readouterr()
    assert "file is a file" in said.err and one_line(said.err)
    assert not said.out
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", FOLDERS)
def test_row_8_a_file_in_the_place_of_a_run_s_folder_is_told_at_once(
    name, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("cnn_jax.setup.first_state", None)  # not to be reached
    (tmp_path / name).write_text("mine")
    assert main(["run.py", *TINY, f"--workdir={tmp_path}"]) == 2
    assert f"{tmp_path / name} is a file" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {name, ".lock"}


@pytest.mark.parametrize("name", FOLDERS)
def test_row_8_a_broken_link_in_the_place_of_a_run_s_folder_is_told_at_once(
    name, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("cnn_jax.setup.first_state", None)  # not to be reached
    (tmp_path / name).symlink_to(tmp_path / "gone")
    assert main(["run.py", *TINY, f"--workdir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / name} is a link to {tmp_path / 'gone'}" in error
    assert {path.name for path in tmp_path.iterdir()} == {name, ".lock"}


@pytest.mark.parametrize("name", [".DS_Store", "._state", "Thumbs.db", ".nfs0001"])
def test_row_6_what_file_browsers_leave_is_no_damage(name, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "weights").write_text("0")
    (tmp_path / name).write_text("there before")
    digests.seal(tmp_path)
    for folder in (tmp_path, tmp_path / "state"):
        (folder / name).write_text("changed since")
    assert digests.problem(tmp_path) == ""
    (tmp_path / "state" / "weights").write_text("1")
    assert digests.problem(tmp_path) == "state/weights has changed"
