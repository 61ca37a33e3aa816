"""The rooms of the package form layers, and importing them loads nothing heavy."""

from __future__ import annotations

import ast
import functools
import graphlib
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from program import environment

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cnn_jax"
FILES = sorted(PACKAGE.rglob("*.py"))
# Who alone may import what of others, at the top of a file or inside a function.
ALONE = {
    "tensorflow_datasets": {
        f"data/tfds/{name}.py" for name in ("examples", "prepared_folder", "preparing")
    },
    "absl": {"config/flags.py"},
    "optuna": {"search/study.py"},
    "orbax": {"storage/pytrees.py"},
    "gradio": {
        f"demo/{name}.py"
        for name in (
            "build_layer",
            "classify",
            "components",
            "layers",
            "page",
            "server",
            "test_set",
            "theme",
            "uploads",
            "watch",
        )
    },
    "mlflow": {"tracking/mlflow.py"},
    "submitit": {"submission/job.py", "submission/submit.py"},
}
# Packages that take long to load, and that nothing but the room of their use may load.
HEAVY = (
    "tensorflow_datasets",
    "tensorflow",
    "matplotlib",
    "tensorboardX",
    "orbax",
    "optuna",
    "scipy",
    "gradio",
    "mlflow",
    "submitit",
)


def imports(path: Path) -> set[str]:
    """The full names of all that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    """The sub-package that a file is in, or the module in the root that it is."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("cnn_jax.")}


@functools.cache
def order() -> list[str]:
    """The rooms, each after those that it imports. Raises CycleError where there is a circle."""
    graph: dict[str, set[str]] = {}
    for path in FILES:
        graph.setdefault(room(path), set()).update(imported_rooms(path) - {room(path)})
    return list(graphlib.TopologicalSorter(graph).static_order())


def short(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_imports_between_rooms_make_no_circle():
    assert order()[-1] == "cli"


def test_the_documented_order_is_one_that_the_imports_allow():
    """The table of docs/architecture.md names every room once, each after those it imports."""
    table = (ROOT / "docs" / "architecture.md").read_text().partition("## Modules")[2]
    rows = re.findall(r"^\| (.*?) \|", table.partition("\n## ")[0], re.MULTILINE)
    documented = [name for row in rows for name in re.findall(r"`(\w+)(?:/|\.py)`", row)]
    assert sorted(documented) == sorted(set(order()) - {"__init__"})
    for path in FILES:
        for other in imported_rooms(path) - {room(path)}:
            assert documented.index(other) < documented.index(room(path)), f"{path}: {other}"


def test_the_root_holds_few_modules():
    assert len(list(PACKAGE.glob("*.py"))) <= 9


def test_every_room_says_what_it_is_for():
    for path in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


@pytest.mark.parametrize(("package", "owner"), ALONE.items())
def test_some_packages_are_imported_in_few_places(package, owner):
    importers = [
        short(path) for path in FILES if package in {name.split(".")[0] for name in imports(path)}
    ]
    assert set(importers) == owner


def test_recipes_and_run_see_what_they_need():
    for recipe in (ROOT / "experiments").glob("*.py"):
        for other in imported_rooms(recipe):
            assert order().index(other) <= order().index("experiment"), recipe
    assert imports(ROOT / "run.py") >= {"cnn_jax.runtime.malloc", "cnn_jax.cli.main"}
    assert imported_rooms(ROOT / "run.py") == {"cli", "runtime"}


IMPORT_ALL = """
import importlib, json, sys
report = []
for names in json.loads(sys.argv[1]):
    for name in names:
        importlib.import_module(name)
    from jax._src import xla_bridge
    top = {name.split(".")[0] for name in sys.modules}
    report.append([xla_bridge.backends_are_initialized(), sorted(top)])
print(json.dumps(report))
"""


def test_importing_starts_nothing():
    """No module starts a backend or loads a data or plotting library, the command line included."""
    modules = {False: [], True: []}
    for path in FILES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        modules[room(path) in ("modes", "cli", "docs_tables")].append(name)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps([modules[False], modules[True]])],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    (started, below), (started_at_all, every) = json.loads(done.stdout)
    assert not started
    assert not started_at_all
    assert "flax" in below
    for names, package in itertools.product((below, every), HEAVY):
        assert package not in names


@pytest.mark.parametrize("name", ["storage", "runtime", "training"])
def test_some_rooms_can_be_entered_without_jax(name):
    """`run.py` tunes malloc before JAX is loaded."""
    script = f"import cnn_jax.{name}, sys; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment(), check=True)


def functions(path: Path) -> list[ast.FunctionDef]:
    return [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    ]


def arguments(function: ast.FunctionDef) -> list[str]:
    listed = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return [argument.arg for argument in listed if argument.arg not in ("self", "cls")]


def test_functions_take_few_arguments():
    for path in FILES:
        for function in functions(path):
            assert len(arguments(function)) <= 9, f"{path}: {function.name}"
    (loop,) = [f for f in functions(PACKAGE / "training" / "loop.py") if f.name == "run_steps"]
    assert len(arguments(loop)) <= 6


def test_a_run_reads_top_to_bottom():
    (train,) = [f for f in functions(PACKAGE / "train.py") if f.name == "train"]
    assert train.end_lineno - train.body[1].lineno < 50  # the docstring is the first statement
