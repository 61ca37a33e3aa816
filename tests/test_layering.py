"""Imports only go down: the table of docs/architecture.md, held to the code."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from program import environment

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cnn_jax"

# Who may import what of its own level.
BESIDE = {
    ("digests", "files"),
    ("state", "experiment"),
    ("structure", "layer_walk"),
    ("hardware", "compile_cache"),
    ("evaluator", "step"),
    ("lowering", "step"),
    ("names", "config"),
    ("outputs", "run_folder"),
    ("run_folder", "checkpoint"),
    ("run_folder", "config"),
    ("run_folder", "names"),
    ("run_folder", "report"),
    ("runs", "checkpoint"),
    ("runs", "config"),
    ("runs", "names"),
    ("runs", "run_folder"),
    ("scorer", "config"),
    ("scorer", "run_folder"),
    ("scorer", "runs"),
    ("scorer", "step"),
    ("teacher", "config"),
    ("teacher", "run_folder"),
    ("teacher", "runs"),
    ("explain", "predict"),
    ("explain", "summary"),
    ("listing", "record"),
    ("listing", "sizes"),
    ("benchmark", "loop"),
    ("evaluate", "stress"),
    ("stress", "attacker"),
    ("dry_run", "prepared"),
    ("prepared", "transfer"),
    ("sweep", "prepared"),
    ("sweep", "train"),
    ("train", "prepared"),
    ("train", "loop"),
    ("train", "summary"),
    ("train", "transfer"),
    ("docs", "listing"),
    ("docs", "record"),
    ("docs", "volumes"),
}
# Who alone may import what of others, at the top of a file or inside a function.
ALONE = {
    "tensorflow_datasets": "data/tfds.py",
    "absl": "config/flags.py",
    "orbax": "pytrees.py",
}
# The parts of the package (files, or packages with all that is in them), and their levels.
ROWS = [
    (name, int(level))
    for level, names in re.findall(
        r"^\| (\d) \| (.*?) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE
    )
    for name in re.findall(r"`(\w+)/?`", names)
]
LEVEL = dict(ROWS)
FILES = sorted(PACKAGE.rglob("*.py"))


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


def parts(path: Path) -> set[str]:
    """The parts of the package that a file imports from."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("cnn_jax.")}
    assert names <= LEVEL.keys(), f"{path} imports {names - LEVEL.keys()}"
    return names


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def short(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_part_has_a_level():
    assert {part(path) for path in FILES} - {"__init__"} <= LEVEL.keys()
    assert len(LEVEL) == len(ROWS)


@pytest.mark.parametrize("path", FILES, ids=short)
def test_imports_go_down(path):
    if path == PACKAGE / "__init__.py":
        assert not parts(path)
        return
    mine = part(path)
    for other in parts(path) - {mine}:
        assert LEVEL[other] < LEVEL[mine] or (mine, other) in BESIDE, f"{mine} imports {other}"


@pytest.mark.parametrize(("package", "owner"), ALONE.items())
def test_some_packages_have_one_importer(package, owner):
    importers = [
        short(path) for path in FILES if package in {name.split(".")[0] for name in imports(path)}
    ]
    assert importers == [owner]


def test_recipes_and_run_see_what_they_need():
    for recipe in (ROOT / "experiments").glob("*.py"):
        assert all(LEVEL[other] <= LEVEL["experiment"] for other in parts(recipe)), recipe
    assert parts(ROOT / "run.py") == {"cli", "process"}


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
    """No backend by any module; no data or plotting library by what is below the modes, cli."""
    modules = {}
    for path in FILES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        modules.setdefault(LEVEL.get(part(path), 0) >= LEVEL["train"], []).append(name)
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
    for names, package in itertools.product(
        (below, every), ("tensorflow_datasets", "tensorflow", "matplotlib", "tensorboardX", "orbax")
    ):
        assert package not in names
