from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_jax import config

from .toys import NAMES, ResNet

HEAD = "from tests.config.toys import *\n"
GOOD = f'''"""A toy recipe.

More about it.
"""
from __future__ import annotations
{HEAD}from beside import Cut

class Mine(nn.Module):
    size: int = 3

experiment = Experiment(model=Mine(size=5), augment=(Cut(),))
'''.replace("from tests.config.toys", "from " + ResNet.__module__)
HEAD = HEAD.replace("tests.config.toys", ResNet.__module__)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "_hidden.py").write_text("")
    beside = f"{HEAD}@dataclass(frozen=True)\nclass Cut(Augment):\n    size: int = 8\n"
    (tmp_path / "beside.py").write_text(beside)
    return tmp_path


def test_loads_by_name_and_by_path(folder):
    recipe = config.load("good", NAMES, folder)
    assert recipe.name == "good"
    assert recipe.doc == "A toy recipe."
    assert recipe.path == folder / "good.py"
    assert recipe.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert recipe.experiment.model.size == 5
    assert config.load(str(folder / "good.py"), NAMES).experiment == recipe.experiment


def test_a_recipe_brings_its_own_names(folder):
    recipe = config.load("good", NAMES, folder)
    assert "Mine" not in NAMES
    assert config.from_text(config.to_text(recipe.experiment), recipe.names) == recipe.experiment
    new = config.override(recipe.experiment, ["--config.augment=(Cut(2),)"], recipe.names)
    assert new.config.augment[0].size == 2
    assert not {"dataclass", "Any"} & set(recipe.names)


def test_a_changed_file_is_read_anew(folder):
    assert config.load("good", NAMES, folder).experiment.model.size == 5
    (folder / "good.py").write_text(GOOD.replace("size=5", "size=6"))
    assert config.load("good", NAMES, folder).experiment.model.size == 6


def test_lists_the_recipes(folder):
    assert config.recipes(folder) == {n: folder / f"{n}.py" for n in ("beside", "good")}
    assert config.recipes(folder / "none") == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = 1", "defines no `experiment`"),
        ("experiment = Experiment", "defines no `experiment`"),
        ("\nexperiment = Experiment(model=ResNet(), epoch=3)",
         "bad.py:3: Experiment has no argument 'epoch'. Did you mean epochs?"),
        ("experiment = Experiment(model=ResNet(widht=3))", "Did you mean width?"),
        ("experiment = Experiment()", "bad.py:2: TypeError: "),
        ("experiment = Experiment(model=ResNet(), optimizer=SGD(-1))",
         "bad.py:2: peak_lr must be positive, got -1"),
        ("experiment = Experiment(model=ResNet(width=2.5))", "config.model.width: must be int"),
        ("experiment = Experiment(model=ResNt())", "Did you mean ResNet?"),
        ("experiment = nn.Modul()", "Did you mean Module?"),
        ("import nothing_of_this_name", "bad.py:2: ModuleNotFoundError"),
        ("x = (", "bad.py:2: "),
        ("raise SystemExit(3)", "bad.py:2: SystemExit: 3"),
        ("1 / 0", "bad.py:2: ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_a_broken_recipe_is_one_line(tmp_path, body, message):
    (tmp_path / "bad.py").write_text(HEAD + body)
    for _ in range(2):  # A failure leaves nothing behind.
        with pytest.raises(config.ConfigError) as caught:
            config.load("bad", NAMES, tmp_path)
        assert message in str(caught.value)
        assert str(tmp_path / "bad.py") in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("goood", "Unknown recipe 'goood'. Did you mean good? Recipes: beside, good,"),
        ("zzz", "Unknown recipe 'zzz'. Recipes: beside, good,"),
        ("_hidden", "Unknown recipe"),
        ("../good", "Unknown recipe"),
        ("", "Unknown recipe ''"),
        ("nowhere/x.py", "No recipe file nowhere/x.py"),
    ],
)
def test_an_unknown_recipe_is_one_line(folder, name, message):
    with pytest.raises(config.ConfigError) as caught:
        config.load(name, NAMES, folder)
    assert message in str(caught.value)


def test_a_printed_recipe_imports_from_the_recipe_that_defines_a_class(folder):
    recipe = config.load("good", NAMES, folder)
    (folder / "printed.py").write_text(config.to_recipe(recipe.experiment))
    again = config.load("printed", NAMES, folder)
    assert config.to_text(again.experiment) == config.to_text(recipe.experiment)


def test_a_printed_recipe_finds_the_defining_recipe_from_another_folder(folder, tmp_path):
    recipe = config.load("good", NAMES, folder)
    (tmp_path / "elsewhere").mkdir()
    text = config.to_recipe(recipe.experiment, "Printed.", folder=tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "printed.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "printed.py"],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    beside = config.to_recipe(recipe.experiment, "Printed.", folder=folder)
    assert "sys.path" in text and "sys.path" not in beside


def test_a_mistake_in_an_imported_file_is_told_at_its_place(tmp_path):
    (tmp_path / "bad.py").write_text(f"{HEAD}import broken_beside\n")
    (tmp_path / "broken_beside.py").write_text("x = 1\ny = undefined\n")
    with pytest.raises(config.ConfigError) as caught:
        config.load("bad", NAMES, tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'broken_beside.py'}:2: name 'undefined' is not defined, ")
    assert said.endswith(f", imported by {tmp_path / 'bad.py'}") and "Choose" not in said
    (tmp_path / "broken_beside.py").write_text("x = (\n")
    with pytest.raises(config.ConfigError, match=r"broken_beside\.py:1: "):
        config.load("bad", NAMES, tmp_path)


def test_a_recipe_s_classes_may_import_files_beside_it_when_they_are_called(tmp_path):
    late = "def late(self):\n        import late_beside\n        return late_beside.x"
    (tmp_path / "lazy.py").write_text(
        f"{HEAD}class Mine(nn.Module):\n    {late}\n\nexperiment = Experiment(model=Mine())\n"
    )
    (tmp_path / "late_beside.py").write_text("x = 7\n")
    assert config.load("lazy", NAMES, tmp_path).experiment.model.late() == 7
