"""Where the runs of a sweep are, and what sweep.json says."""

from __future__ import annotations

import json

import pytest

from cnn_jax.errors import UserError
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.workdir import Run
from cnn_jax.storage.json_files import write_json
from cnn_jax.sweeps import sweep_folder
from cnn_jax.sweeps.grid import grid
from cnn_jax.sweeps.sweep_folder import members


def places(folder, text):
    return [member.run.folder.name for member in members(Run(folder), grid(text))]


def write(folder, text):
    whole = Run(folder)
    found = members(whole, grid(text))
    sweep_folder.write(whole, "mine", found, [None] * len(found))


def test_seeds_are_the_last_field():
    assert grid("a=1,2", 2) == [
        {"a": "1", "seed": "0"},
        {"a": "1", "seed": "1"},
        {"a": "2", "seed": "0"},
        {"a": "2", "seed": "1"},
    ]
    assert grid(None, 3) == [{"seed": "0"}, {"seed": "1"}, {"seed": "2"}]
    with pytest.raises(UserError, match="--sweep names seeds too"):
        grid("seed=1,2", 2)


def test_folders_are_numbered_whatever_the_values(tmp_path):
    long = ",".join(f'"{character * 400}/x"' for character in "ab")
    assert places(tmp_path, f"name={long}; seed=0,1") == ["000", "001", "002", "003"]
    assert not [*tmp_path.iterdir()]


def test_a_larger_grid_keeps_the_folders_of_the_smaller(tmp_path):
    write(tmp_path, "a=1,2")
    assert places(tmp_path, "a=0,1,2") == ["002", "000", "001"]
    write(tmp_path, "a=0,1,2")
    write(tmp_path, "a=2,3")
    rows = json.loads((tmp_path / "sweep.json").read_text())["runs"]
    assert [(row["folder"], row["values"]["a"]) for row in rows] == [
        ("000", "1"),
        ("001", "2"),
        ("002", "0"),
        ("003", "3"),
    ]
    assert {row["state"] for row in rows} == {"waiting"}


def test_a_run_of_a_grid_with_other_fields_keeps_its_folder(tmp_path):
    """Seed 0 is what the run was trained with before --seeds was given."""
    write(tmp_path, "a=1,2")
    for place, text in (("000", "E(a=1)"), ("001", "E(a=2)")):
        config = {"experiment": text, "recipe": {}, "data": {}}
        (tmp_path / place).mkdir()
        write_json(tmp_path / place / "config.json", config)
    wider = grid("a=1,2", 2)
    texts = ["E(a=1)", "E(a=1, seed=1)", "E(a=2)", "E(a=2, seed=1)"]
    found = members(Run(tmp_path), wider, texts)
    assert [member.run.folder.name for member in found] == ["000", "002", "001", "003"]
    sweep_folder.write(Run(tmp_path), "mine", found, [None] * 4)
    rows = sweep_folder.rows(Run(tmp_path))
    assert [row["values"] for row in rows] == [wider[0], wider[2], wider[1], wider[3]]


def test_runs_of_earlier_versions_keep_their_names(tmp_path):
    (tmp_path / "init=a_b,seed=1").mkdir()
    (tmp_path / "init=a_b,seed=1" / "config.json").write_text("{}")
    assert places(tmp_path, "init='a/b'; seed=0,1") == ["000", "001"]
    assert places(tmp_path, "init=a_b; seed=0,1") == ["000", "init=a_b,seed=1"]


@pytest.mark.parametrize("content", ["", "[]", '{"runs": [{"folder": 3}]}', '{"runs": {}}'])
def test_a_damaged_file_is_an_error(content, tmp_path):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(RunError, match=r"sweep\.json is damaged"):
        places(tmp_path, "a=1,2")


def test_a_diverged_run_has_ended(tmp_path):
    (member,) = members(Run(tmp_path), grid("a=1"))
    assert (member.state(), member.ended()) == ("waiting", False)
    member.set_diverged("the loss is nan")
    assert (member.state(), member.ended()) == ("diverged", True)
    assert member.divergence() == "the loss is nan"


def test_a_sweep_that_fails_before_its_first_run_leaves_nothing(tmp_path):
    whole = Run(tmp_path)
    found = members(whole, grid("a=1,2"))
    with pytest.raises(UserError), sweep_folder.described(whole, "mine", found):
        assert (tmp_path / "sweep.json").exists()
        raise UserError("no")
    assert not [*tmp_path.iterdir()]
