"""The code of docs/extending.md, run as a reader would."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from program import ROOT, run, run_script

PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder outside the repository with the page's files."""
    folder = tmp_path_factory.mktemp("extending")
    files = re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for name, code in files:
        (folder / name).write_text(code)
    assert len(files) == 7
    return folder


def test_the_page_s_commands_train_and_evaluate_its_recipe(folder):
    (block,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line) for line in block.splitlines()]
    assert [command[:2] for command in commands] == [["python", "run.py"]] * 2
    for command in commands:
        run(*command[2:], cwd=folder)
    summary = json.loads((folder / "runs/mine/summary.json").read_text())
    assert summary["dataset"] == "stripes" and "PatchNet(width=8)" in summary["model"]
    assert summary["test_accuracy"] > 0.9
    listed = run("--config=my_recipe.py", "--list", cwd=folder).stdout
    parameters = 4 * 4 * 3 * 16 + 16 + 2 * 16 + 9 * 16 + 16 + 16 * 10 + 10  # of 32x32x3
    assert re.search(rf"PatchNet\s+32x32x3, 10 classes\s+{parameters:,}\s", listed)


def test_the_page_s_library_use_runs(folder):
    section = PAGE.partition("## From Python\n")[2]
    code = "".join(re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE))
    there = f"import os, sys; os.chdir({str(folder)!r}); sys.path[:0] = ['.', {str(ROOT)!r}]"
    done = run_script(f"{there}\n{code}")
    assert done.returncode == 0, done.stderr
    *_, accuracy, shapes = done.stdout.splitlines()
    assert 0 <= float(accuracy) <= 1
    assert shapes == "(8, 2) (8, 6, 6, 16)"
