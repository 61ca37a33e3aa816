"""The folder of a sweep: a numbered folder for each run, and a file that says what each is."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.workdir import DIVERGED, Run
from cnn_jax.storage import files, json_checks
from cnn_jax.storage.json_files import write_json
from cnn_jax.sweeps.grid import Assignment, name_of

NAME, LOCK = "sweep.json", ".sweep.lock"


class Member:
    """A run of a sweep.

    Attributes:
      assignment: What distinguishes it.
      run: Its files.
    """

    def __init__(self, assignment: Assignment, run: Run):
        self.assignment, self.run = assignment, run

    @property
    def name(self) -> str:
        """Its name for people."""
        return name_of(self.assignment)

    def summary(self) -> dict[str, Any] | None:
        """The content of summary.json; None until it has finished."""
        return self.run.summary()

    def divergence(self) -> str:
        """How it diverged; "" if it did not."""
        path = self.run.folder / DIVERGED
        if self.run.new or not path.exists():
            return ""
        try:
            content = json_checks.loads(path.read_bytes())
        except (OSError, ValueError):
            return ""
        return "" if json_checks.fault(content, message=str) else content["message"]

    def set_diverged(self, message: str) -> None:
        """Records that it diverged."""
        self.run.folder.mkdir(exist_ok=True)  # a run that recorded nothing left no folder
        write_json(self.run.folder / DIVERGED, {"message": message})

    def ended(self) -> bool:
        """Whether it has finished or diverged."""
        return bool(self.divergence() or self.summary())

    def state(self) -> str:
        """ "finished", "diverged", "unfinished" or "waiting"."""
        if self.divergence():
            return "diverged"
        if self.summary():
            return "finished"
        return "unfinished" if self.run.exists() else "waiting"


def members(
    whole: Run, assignments: Sequence[Assignment], texts: Sequence[str] = ()
) -> list[Member]:
    """The runs of a sweep, in the order of its assignments; nothing is written.

    A run keeps the folder that it has: one with these values, one whose experiment is the same, as
    that of a grid with fewer fields, or one that is named by its values, as those of earlier
    versions. Others get the next free numbers.

    Args:
      whole: The sweep's folder.
      assignments: What distinguishes each run.
      texts: The experiment of each, as `config.to_text` writes it; () if no other grid matters.

    Raises:
      RunError: sweep.json is damaged.
    """
    known = {} if whole.new else _known(whole.folder)
    begun = _begun(whole.folder, known.values()) if texts else {}
    found, number = [], 0
    for assignment, text in itertools.zip_longest(assignments, texts):
        name = name_of(assignment)
        place = known.get(name) or begun.get(text) or _named(whole, name)
        while place is None:
            numbered = f"{number:03d}"
            number += 1
            if numbered not in known.values():
                place = numbered
        found.append(Member(assignment, Run(whole.folder / place, new=whole.new)))
    return found


def write(whole: Run, recipe: str, found: Sequence[Member], results: Sequence[Any]) -> None:
    """Writes what each run is, and its result, to sweep.json; runs of other grids stay in it.

    Args:
      whole: The sweep's folder.
      recipe: Name of the recipe.
      found: The runs.
      results: A JSON object for each, or None.
    """
    path = whole.folder / NAME
    with files.locked(whole.folder / LOCK):
        known = {row["folder"]: row for row in _rows(path)}
        for member, result in zip(found, results, strict=True):
            folder = member.run.folder.name
            row = {"folder": folder, "values": member.assignment, "state": member.state()}
            known[folder] = row | (result or {})
        write_json(path, {"recipe": recipe, "runs": [known[name] for name in sorted(known)]})


@contextlib.contextmanager
def described(whole: Run, recipe: str, found: Sequence[Member]) -> Iterator[None]:
    """A block that trains the runs, before which sweep.json says what each is.

    If it fails before any of them has begun, it leaves nothing behind.
    """
    write(whole, recipe, found, [None] * len(found))
    try:
        yield
    except BaseException:
        if not any(member.run.exists() or member.divergence() for member in found):
            for name in (NAME, LOCK):
                (whole.folder / name).unlink(missing_ok=True)
        raise


def _begun(folder: Path, places: Iterable[str]) -> dict[str, str]:
    """The folder of each experiment that has begun, by its text."""
    runs = ((place, Run(folder / place)) for place in places)
    return {run.experiment_text(): place for place, run in runs if run.exists()}


def _known(folder: Path) -> dict[str, str]:
    return {name_of(row["values"]): row["folder"] for row in _rows(folder / NAME)}


def rows(whole: Run) -> list[dict[str, Any]]:
    """What sweep.json says of all runs, also of other grids."""
    return _rows(whole.folder / NAME)


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        content = json_checks.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    fault = json_checks.fault(content, runs=list)
    for row in [] if fault else content["runs"]:
        fault = fault or json_checks.fault(row, folder=str, values=dict)
    if fault:
        raise RunError(f"{path} is damaged: {fault}")
    return content["runs"]


def _named(whole: Run, name: str) -> str | None:
    """The folder that earlier versions gave a run; None if there is none."""
    folder = name.replace("/", "_")
    try:
        return folder if not whole.new and Run(whole.folder / folder).exists() else None
    except OSError:  # a name too long
        return None
