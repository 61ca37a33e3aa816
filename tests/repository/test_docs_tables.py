"""README and docs/ say what the program says, and their commands are commands."""

from __future__ import annotations

import re
import shlex

import pytest

from cnn_jax import config, docs_tables, models
from cnn_jax.cli import FLAGS
from cnn_jax.config.names import NAMES

PAGES = docs_tables.pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_parts_are_what_the_program_writes(page):
    text = page.read_text()
    assert docs_tables.refreshed(text) == text, "run python -m cnn_jax.docs_tables"


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                line = line.partition("  #")[0].strip()
                # Those of a recipe of the reader's own are run by tests/test_extending.py.
                if line.startswith("python run.py") and "my_recipe.py" not in line:
                    found.append(line)
    return found


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_every_command_shown_is_understood(command):
    arguments = shlex.split(command)[1:]
    if "--help" in arguments:
        arguments.remove("--help")
    config.parse(arguments, plain=FLAGS, names=NAMES)


def test_readme_begins_with_its_two_commands():
    readme = (docs_tables.ROOT / "README.md").read_text()
    first, second, *_ = re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL)
    assert first.count("\n") == second.count("\n") == 1
    assert first.rstrip().endswith("python run.py")
    assert second.rstrip().endswith("python -m pytest -n auto")


def test_the_page_of_the_parts_has_all_that_a_recipe_may_name():
    page = (docs_tables.ROOT / "docs" / "parts.md").read_text()
    told = set(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE))
    nets = config.public_names(models)
    others = {"Experiment", "Dataset", "Split"}
    assert told == {*NAMES} - {*nets} - others


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.slow
def test_the_lesson_s_programs_run_and_print_what_the_page_says(capsys):
    lesson = (docs_tables.ROOT / "docs" / "lesson.md").read_text()
    programs = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", lesson, re.DOTALL)
    assert len(programs) == lesson.count("```python") == 4
    names: dict[str, object] = {}
    for program, printed in programs:
        exec(program, names)
        assert capsys.readouterr().out == printed


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md"])
def test_files_named_in_a_row_of_the_rooms_are_there(name):
    rows = re.findall(
        r"^\| `(\w+)/` \| (.*) \|$", (docs_tables.ROOT / name).read_text(), re.MULTILINE
    )
    assert len(rows) > 10
    for room, about in rows:
        for file in re.findall(r"`((?:\w+/)*\w+\.py)`", about):
            assert (docs_tables.ROOT / "cnn_jax" / room / file).exists(), f"{room}/{file}"
