"""Mode compare: groups of runs, their means and intervals, and what can be concluded."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.comparison import inference
from cnn_jax.comparison.compare import SMALL, Compared
from cnn_jax.comparison.compare import compare as compare_samples
from cnn_jax.comparison.inference import Mean
from cnn_jax.comparison.samples import Sample, samples
from cnn_jax.config import Command, Flag
from cnn_jax.errors import UserError
from cnn_jax.modes.mode import OUTPUT, Mode, refuse_overrides
from cnn_jax.report import comparison_figure, tables
from cnn_jax.report.comparison_figure import Row
from cnn_jax.runs import output_paths
from cnn_jax.storage.json_files import write_json
from cnn_jax.storage.local_paths import local_path

MARGIN = 0.5


def compare(
    places: Sequence[str | os.PathLike[str]],
    margin: float = MARGIN,
    output: str | os.PathLike[str] | None = None,
    *,
    console: Any = None,
) -> list[Compared]:
    """Compares groups of runs with the first group, by their test accuracies.

    Args:
      places: Folders of runs or of sweeps, or files of results/. A sweep is a group for each of its
        settings, over its seeds.
      margin: Percentage points within which two groups count as equivalent.
      output: A .json file; the figure is written beside it, as .png.
      console: A `rich.console.Console`.

    Returns:
      A comparison for each group but the first.

    Raises:
      UserError: there are fewer than two groups, one is damaged, or their data differ.
    """
    paths = [local_path(place, "workdir") for place in places]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError("--mode=compare: a group is named twice")
    groups = [group for path in paths for group in samples(path)]
    if len(groups) < 2:
        notes = "".join(f"; {group.note}" for group in groups if group.note)
        raise UserError(
            f"--mode=compare needs at least two groups of runs, or a sweep of several{notes}"
        )
    path = local_path(output, "output") if output else None
    if path:
        output_paths.check("output", path, [".json"])
    means = [inference.mean(group.accuracies) for group in groups]
    compared = compare_samples(groups, margin)
    out = console or tables.console()
    say = functools.partial(out.print, highlight=False, markup=False, soft_wrap=True)
    for note in filter(None, (group.note for group in groups)):
        say(note)
    out.print(_means(groups, means))
    for one in compared:
        for line in _lines(groups[0], one):
            say(line)
    if sum(one.p is not None for one in compared) > 1:
        say("p-values are adjusted for the number of comparisons (Holm); intervals are not")
    if path:
        _write(path, groups, means, compared, margin)
        say(f"wrote {path} and {path.with_suffix('.png').name}")
    return compared


def _means(groups: Sequence[Sample], means: Sequence[Mean]) -> Any:
    rows = [
        [
            group.name,
            str(found.n),
            f"{found.mean:.2f}",
            "" if found.sd is None else f"{found.sd:.2f}",
            "" if found.low is None else f"{found.low:.2f} to {found.high:.2f}",
        ]
        for group, found in zip(groups, means, strict=True)
    ]
    columns = ["group", "n", "test accuracy, %", "sd", "95 % interval of the mean"]
    return tables.table(columns, rows)


def _lines(first: Sample, one: Compared) -> list[str]:
    lines = [f"{one.name} against {first.name} ({one.reason})"]
    if (found := one.difference) and one.p is not None:
        mean = round(found.mean, 2) + 0.0  # no -0.00
        lines.append(
            f"  difference {mean:+.2f} points, 95 % interval {found.low:+.2f} to "
            f"{found.high:+.2f}, p = {one.p:.2g}"
        )
        several = "more than 100,000" if one.needed is None else f"{one.needed:,}"
        lines.append(f"  a difference of {SMALL:g} points would need {several} runs of each")
    if one.images:
        lines.append(
            f"  same class for {one.images.agreement:.2%} of {one.images.images:,} images; right "
            f"alone: {one.images.first_alone:,} and {one.images.second_alone:,}; McNemar's "
            f"p = {one.images.p:.2g}"
        )
    return [*lines, f"  can be concluded: {one.conclusion}"]


def _write(
    path: Path,
    groups: Sequence[Sample],
    means: Sequence[Mean],
    compared: Sequence[Compared],
    margin: float,
) -> None:
    described = [
        {
            "name": group.name,
            "dataset": group.data[0],
            "seeds": group.seeds,
            "test_accuracies": group.accuracies,
            **dataclasses.asdict(found),
        }
        for group, found in zip(groups, means, strict=True)
    ]
    write_json(
        path,
        {
            "unit": "percent",
            "margin": margin,
            "groups": described,
            "compared_with_the_first": [dataclasses.asdict(one) for one in compared],
        },
    )
    rows = [
        Row(
            group.name,
            group.accuracies,
            found.mean,
            None if found.low is None or found.high is None else (found.low, found.high),
        )
        for group, found in zip(groups, means, strict=True)
    ]
    comparison_figure.draw(rows, path.with_suffix(".png"))


def run(command: Command) -> None:
    """Compares the groups that the command line names."""
    refuse_overrides(command)
    flags = command.flags
    named = [] if flags.workdir is None else [flags.workdir]
    compare([*named, *command.args], flags.margin, flags.output)


MODE = Mode(
    run,
    (
        Flag(
            "margin",
            float,
            MARGIN,
            "Percentage points within which two groups count as equivalent",
            minimum=0,
        ),
        OUTPUT,
    ),
    takes_files=True,
    uses_device=False,
    uses_recipe=False,
)
