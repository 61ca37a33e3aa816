from __future__ import annotations

import os
import subprocess
import sys
from typing import Literal

import pytest
from program import ROOT

from cnn_jax import config

from .toys import BASE, NAMES, ResNet

PLAIN = {
    "Run": (
        config.Flag("config", str, "toy", "A recipe: NAME, or a path to a .py file."),
        config.Flag("workdir", str | None, None, "Folder of the run."),
        config.Flag("mode", Literal["train", "evaluate", "volumes"], "train", "What to do."),
    ),
    "More": (
        config.Flag("image_size", int | None, None, "Pixels on a side.", minimum=1),
        config.Flag("record", bool, False, "Write a row of results."),
    ),
}


@pytest.fixture
def parse(tmp_path):
    module = ResNet.__module__
    (tmp_path / "toy.py").write_text(f'"""Toy."""\nfrom {module} import BASE as experiment\n')
    (tmp_path / "bad.py").write_text("experiment = 3\n")
    (tmp_path / "flags.txt").write_text("# what I like\n--config.epochs=7\n--record\n")

    def run(*argv):
        argv = [arg.replace("DIR", str(tmp_path)) for arg in argv]
        usage = "Usage: python run.py [flags]"
        return config.parse(
            ["run.py", *argv], plain=PLAIN, names=NAMES, usage=usage, experiments_dir=tmp_path
        )

    return run


def test_defaults(parse):
    command = parse()
    assert vars(command.flags) == {
        "config": "toy", "workdir": None, "mode": "train", "image_size": None, "record": False
    }  # fmt: skip
    assert command.experiment == BASE
    assert (command.given, command.overridden, command.notes, command.args) == (set(), (), [], [])
    assert command.recipe.name == "toy"


def test_everything_at_once(parse):
    command = parse(
        "--mode", "volumes", "photo.png", "--config.epochs=3", "--config=DIR/toy.py",
        "--image_size=8", "--record", "--norecord", "--config.loss=Hinge",
        "--workdir=a", "--workdir=b", "--", "--x",
    )  # fmt: skip
    assert command.flags.mode == "volumes"
    assert command.flags.image_size == 8
    assert command.flags.workdir == "b"
    assert command.flags.record is False
    assert command.args == ["photo.png", "--x"]
    assert command.given == {"mode", "config", "image_size", "record", "workdir"}
    assert set(command.overridden) == {"epochs", "loss"}
    assert len(command.notes) == 1
    assert command.experiment.epochs == 3


def test_calls_do_not_affect_each_other(parse):
    assert parse("--record", "--config.epochs=3").flags.record is True
    assert parse().flags.record is False
    assert parse().experiment.epochs == 10


def test_flagfile_and_a_later_flag(parse):
    command = parse("--flagfile=DIR/flags.txt", "--config.epochs=8")
    assert command.experiment.epochs == 8
    assert command.flags.record is True


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--mode=evaluat", "must be 'train' | 'evaluate' | 'volumes', got 'evaluat'. Did you mean"),
        ("--workdr=3", "Unknown flag --workdr. Did you mean --workdir?"),
        ("--qqqq", "Unknown flag --qqqq. See --help"),
        ("--workdir", "--workdir needs a value"),
        ("--workdir --record", "needs a value"),
        ("--image_size=0", "--image_size=0: must be at least 1, got 0"),
        ("--image_size=1.5", "must be int | None"),
        ("--record=maybe", "must be bool"),
        ("--norecord=1", "--norecord=1 takes no value"),
        ("--record False", "--flag=False"),
        ("--config=toi", "Unknown recipe 'toi'. Did you mean toy?"),
        ("--config=bad", "defines no `experiment`"),
        ("--config.optimizer.peak_lrr=1", "Did you mean --config.optimizer.peak_lr?"),
        ("--flagfile=DIR", "--flagfile"),
        ("--flagfile", "--flagfile"),
        ("--jax_debug_nan=True", "Unknown flag --jax_debug_nan. Did you mean --jax_debug_nans?"),
        ("--verbosty=1", "Unknown flag --verbosty. Did you mean --verbosity?"),
        ("--jax_debug_nans=maybe", "--jax_debug_nans=maybe"),
        ("--verbosity=much", "--verbosity=much"),
        ("--pdb", "Unknown flag --pdb"),
        ("--jax_platforms", "--jax_platforms needs a value"),
    ],
)
def test_a_mistake_is_one_line(parse, argv, message):
    with pytest.raises(config.ConfigError) as caught:
        parse(*argv.split(" "))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flag", ["--help", "-h", "-help", "--helpfull"])
def test_help_exits_0_and_shows_every_flag(parse, capsys, monkeypatch, flag):
    monkeypatch.setenv("COLUMNS", "90")
    with pytest.raises(SystemExit) as caught:
        parse("--mode=nonsense", flag)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: python run.py [flags]\n\nRun:\n")
    for name in ("config", "workdir", "mode", "image_size", "record"):
        assert f"  --{name} " in text
    for row in config.describe(BASE):
        assert f"  --{row.name}" in text
    assert "train | evaluate | volumes [train]: What to do." in text
    assert "float [0.1]: Highest learning rate." in text
    assert all(len(line) <= 90 for line in text.splitlines())


def test_full_help_lists_the_flags_of_jax_and_absl(parse, capsys):
    with pytest.raises(SystemExit):
        parse("--helpfull")
    full = capsys.readouterr().out
    assert "  --jax_debug_nans\n" in full or "  --jax_debug_nans " in full
    assert "  --verbosity " in full and "--pdb" not in full
    with pytest.raises(SystemExit):
        parse("--help")
    assert "--jax_" not in capsys.readouterr().out


def test_help_shows_the_fields_of_a_chosen_object(parse, capsys):
    with pytest.raises(SystemExit):
        parse("--help", "--config.loss=Hinge")
    text = capsys.readouterr().out
    assert "--config.loss.margin" in text and "smoothing" not in text


def test_after_a_double_dash_help_is_an_argument(parse):
    assert parse("--", "--help").args == ["--help"]


def test_rows_say_type_default_and_meaning_of_base_classes_too():
    rows = {row.name: row for row in config.describe(BASE)}
    assert rows["config.optimizer.clip_norm"][1:] == (
        "float | None", "None", "Largest gradient norm."
    )  # fmt: skip
    assert rows["config.optimizer.momentum"].help == "Of the heavy ball."
    crop = rows["config.augment.0.padding"]
    assert crop[1:] == ("int", "2", "Zero pixels on each side, before the crop.")
    assert rows["config.model"].default == "ResNet"
    assert not {"config.model.name", "config.model.parent"} & set(rows)


def test_importing_it_starts_nothing():
    code = "import sys, cnn_jax.config; print(sorted({'jax', 'flax', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


LIBRARY_FLAGS = """
import logging
import os
os.environ["JAX_PLATFORMS"] = "no such platform"
from cnn_jax import config
from tests.config.test_command import PLAIN, NAMES
command = config.parse(
    [
        "run.py", "--jax_debug_nans", "photo.png", "--jax_platforms", "cpu", "--config.epochs=3",
        "--nojax_enable_compilation_cache", "--record", "--verbosity=1",
        "--jax_default_matmul_precision=float32", "--config=toy.py",
    ],
    plain=PLAIN,
    names=NAMES,
)
import jax
assert command.args == ["photo.png"] and command.experiment.epochs == 3 and command.flags.record
assert jax.config.jax_debug_nans is True
assert jax.config.jax_enable_compilation_cache is False
assert jax.config.jax_default_matmul_precision == "float32"
assert [device.platform for device in jax.devices()][:1] == ["cpu"]
logging.getLogger("mine").debug("a line for debugging")
"""


def test_flags_of_jax_and_absl_take_effect_before_jax_starts(tmp_path):
    """In a process of its own, since they are settings of the whole process."""
    (tmp_path / "toy.py").write_text("from tests.config.toys import BASE as experiment\n")
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY_FLAGS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests/helpers"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "a line for debugging" in done.stderr


def test_an_unknown_flag_beside_one_of_jax_changes_nothing(parse):
    import jax

    before = jax.config.jax_debug_nans
    with pytest.raises(config.ConfigError, match="workdr"):
        parse("--jax_debug_nans", "--workdr=x")
    assert jax.config.jax_debug_nans is before
