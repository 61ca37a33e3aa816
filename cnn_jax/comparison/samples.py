"""Reads groups of runs that differ in nothing but their seeds."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.config.flat import flat
from cnn_jax.errors import UserError, some
from cnn_jax.runs import stored_predictions
from cnn_jax.runs.stored_predictions import Predictions
from cnn_jax.runs.workdir import DIVERGED, Run
from cnn_jax.storage import json_checks


@dataclasses.dataclass(frozen=True)
class Sample:
    """The test accuracies of runs that differ in nothing but their seeds.

    Attributes:
      name: What is compared.
      accuracies: In percent.
      seeds: The seed of each.
      data: What tells their data apart: its name, and its digest where that is known.
      folders: The runs' folders; () for a row of results/.
      note: A line on runs that are left out; "" if there are none.
    """

    name: str
    accuracies: tuple[float, ...]
    seeds: tuple[int, ...]
    data: tuple[str, str]
    folders: tuple[Path, ...] = ()
    note: str = ""

    def predictions(self) -> Predictions | None:
        """The stored predictions of a single run; None of several, or if there are none."""
        return stored_predictions.read(self.folders[0]) if len(self.folders) == 1 else None


def samples(path: Path) -> list[Sample]:
    """The groups in a run's folder (one), in a sweep's folder, or in a file of results/ (one).

    Raises:
      UserError: there is no finished run, or something is damaged.
    """
    if path.suffix == ".json":
        return [_of_row(path)]
    if Run(path).exists():
        return _groups(path, [path])
    if not path.is_dir():
        raise UserError(f"{path} is neither a folder nor a file of results/")
    inside = sorted(path.iterdir())
    folders = [inner for inner in inside if Run(inner).exists()]
    diverged = [inner.name for inner in (path, *inside) if (inner / DIVERGED).exists()]
    told = f"diverged: {some(diverged)}" if diverged else ""
    if not folders:
        raise UserError(f"{path} holds no run that has finished{told and f' ({told})'}")
    first, *others = _groups(path, folders)
    return [_noted(first, told and f"{path.name}: left out, {told}"), *others]


def _groups(path: Path, folders: Sequence[Path]) -> list[Sample]:
    """One sample for each experiment, but for its seed, in the order of the folders."""
    groups: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    for folder in folders:
        settings = flat(Run(folder).experiment_text())
        settings.pop("seed", None)
        groups.setdefault(tuple(sorted(settings.items())), []).append(folder)
    shared = set.intersection(*map(set, groups))
    found, unfinished = [], []
    for fields, members in groups.items():
        differing = ", ".join(
            f"{key}={value}" for key, value in fields if (key, value) not in shared
        )
        name = f"{path.name}: {differing}" if len(groups) > 1 else path.name
        if sample := _of_runs(name, members):
            found.append(sample)
        else:
            unfinished += [folder.name for folder in members]
    if not found:
        raise UserError(f"{path} holds no finished run")
    if unfinished:
        note = f"{path.name}: left out, since not finished: {some(unfinished)}"
        found[0] = _noted(found[0], note)
    return found


def _noted(sample: Sample, note: str) -> Sample:
    """The sample with a further note."""
    return dataclasses.replace(sample, note="; ".join(filter(None, (sample.note, note))))


def _of_runs(name: str, folders: Sequence[Path]) -> Sample | None:
    finished = [(folder, summary) for folder in folders if (summary := Run(folder).summary())]
    if not finished:
        return None
    facts = {(data.name, data.fingerprint) for data in (Run(f).data_facts() for f, _ in finished)}
    if len(facts) > 1:
        raise UserError(f"{name}: its runs have different data")
    left = [folder.name for folder in folders if folder not in dict(finished)]
    by_seed: dict[int, tuple[Path, dict[str, Any]]] = {}
    for folder, summary in finished:  # the same seed again is the same run: no further evidence
        by_seed.setdefault(summary["seed"], (folder, summary))
    again = [folder.name for folder, summary in finished if by_seed[summary["seed"]][0] != folder]
    finished = [*by_seed.values()]
    reasons = {"not finished": left, "seeds are there already": again}
    notes = [f"since {reason}: {some(names)}" for reason, names in reasons.items() if names]
    return Sample(
        name=name,
        accuracies=tuple(100 * summary["test_accuracy"] for _, summary in finished),
        seeds=tuple(summary["seed"] for _, summary in finished),
        data=facts.pop(),
        folders=tuple(folder for folder, _ in finished),
        note=f"{name}: left out, {', '.join(notes)}" if notes else "",
    )


def _of_row(path: Path) -> Sample:
    try:
        row: Any = json_checks.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    fault = json_checks.fault(row, test_accuracies=list, seeds=list, dataset=str)
    if fault or len(row["test_accuracies"]) != len(row["seeds"]) or not row["seeds"]:
        raise UserError(f"{path} is no row of results/ with several seeds{fault and f': {fault}'}")
    accuracies = tuple(100 * value for value in row["test_accuracies"])
    return Sample(path.stem, accuracies, tuple(row["seeds"]), (row["dataset"], ""))
