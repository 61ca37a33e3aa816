"""The code of docs/extending.md, run as a reader would."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from program import ROOT, run, run_script

# Stands in for Weights & Biases, and prints how it is called.
WANDB = """
class Run:
    def __init__(self):
        self.summary = self
    def log(self, data, step):
        print("wandb log", step, *{name.split("/")[0] for name in data}, flush=True)
    def update(self, summary):
        print("wandb summary", summary["test_accuracy"], flush=True)
    def finish(self, exit_code):
        print("wandb finish", exit_code, flush=True)

def init(project, id, resume, config):
    print("wandb init", project, id, resume, config["model"], flush=True)
    return Run()
"""
PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder outside the repository with the page's files."""
    folder = tmp_path_factory.mktemp("extending")
    files = re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for name, code in files:
        (folder / name).write_text(code)
    assert len(files) == 8
    return folder


@pytest.mark.slow
def test_the_page_s_commands_train_and_evaluate_its_recipe(folder):
    (block,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line) for line in block.splitlines()]
    assert [command[:2] for command in commands] == [["python", "run.py"]] * 3
    (folder / "stub").mkdir()
    (folder / "stub" / "wandb.py").write_text(WANDB)
    for command in commands:
        done = run(*command[2:], cwd=folder, PYTHONPATH=str(folder / "stub"))
    told = [line for line in done.stdout.splitlines() if line.startswith("wandb ")]
    identity = json.loads((folder / "runs/tracked/manifest.json").read_text())["id"]
    assert told[0] == f"wandb init my_recipe {identity} allow PatchNet"
    rows = map(json.loads, (folder / "runs/tracked/metrics.jsonl").read_text().splitlines())
    assert told[1:-2] == [f"wandb log {row['step']} {row['split']}" for row in rows]
    accuracy = json.loads((folder / "runs/tracked/summary.json").read_text())["test_accuracy"]
    assert told[-2:] == [f"wandb summary {accuracy}", "wandb finish 0"]
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
