"""The results of a sweep: a table, sweep.json, sweep.csv and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnn_jax.comparison import inference
from cnn_jax.comparison.inference import Mean
from cnn_jax.report import sweep_figure, tables
from cnn_jax.report.sweep_figure import Point
from cnn_jax.runs.workdir import Run
from cnn_jax.storage.csv_files import write_csv
from cnn_jax.sweeps import sweep_folder
from cnn_jax.sweeps.grid import Assignment
from cnn_jax.sweeps.sweep_folder import Member

CSV, FIGURE = "sweep.csv", "sweep.png"


@dataclass(frozen=True)
class Setting:
    """The runs that differ in their seed alone.

    Attributes:
      assignment: What distinguishes them from others; without the seed.
      values: The measure of each that has it.
      diverged: Number of runs that diverged.
      mean: Of the values; None without any.
    """

    assignment: Assignment
    values: tuple[float, ...]
    diverged: int
    mean: Mean | None


@dataclass(frozen=True)
class Results:
    """The results of a sweep.

    Attributes:
      members: Its runs, all of which have ended.
      measure: The entry of summary.json that is shown. Choices are made on validation: it is the
        test accuracy only if nothing but the seed varies.
      settings: The runs by setting.
    """

    members: Sequence[Member]
    measure: str
    settings: Sequence[Setting]

    @classmethod
    def of(cls, members: Sequence[Member], select_by: str) -> "Results":
        """Reads the runs' summaries.

        Args:
          members: The runs.
          select_by: The experiment's measure of validation.
        """
        over_seeds = all([*member.assignment] == ["seed"] for member in members)
        measure = "test_accuracy" if over_seeds else f"validation_{select_by}"
        groups: dict[tuple[tuple[str, str], ...], list[Member]] = {}
        for member in members:
            fixed = tuple(item for item in member.assignment.items() if item[0] != "seed")
            groups.setdefault(fixed, []).append(member)
        settings = []
        for fixed, these in groups.items():
            summaries = [member.summary() or {} for member in these if not member.divergence()]
            # A run that was finished before, or varies `select_by`, may lack the measure.
            values = tuple(v for one in summaries if (v := one.get(measure)) is not None)
            mean = inference.mean(values) if values else None
            settings.append(Setting(dict(fixed), values, len(these) - len(summaries), mean))
        return cls(members, measure, settings)

    @property
    def best(self) -> Setting | None:
        """The setting with the best mean; None if there is one setting, or no value."""
        known = [one for one in self.settings if one.mean]
        if len(self.settings) < 2 or not known:
            return None
        return max(known, key=lambda one: one.mean.mean if one.mean else 0.0)

    def table(self) -> Any:
        """The table for the terminal: settings with statistics over seeds, or runs."""
        fields = [name for name in self.members[0].assignment if name != "seed"]
        several = any(len(one.values) > 1 for one in self.settings)
        rows = []
        for one in self.settings:
            shown = "" if one.mean is None else f"{one.mean.mean:.2%}"
            if one.diverged:
                failed = f"{one.diverged} diverged" if one.values else "diverged"
                shown = ", ".join(filter(None, (shown, failed)))
            row = [*one.assignment.values(), shown + ("  best" if one is self.best else "")]
            rows.append(row + (_spread(one.mean) if several else []))
        columns = [*fields, self.measure.replace("_", " ")]
        return tables.table(
            columns + (["n", "sd", "95 % interval of the mean"] if several else []), rows
        )

    def write(self, whole: Run, recipe: str) -> list[str]:
        """Writes sweep.json, sweep.csv (both with all runs of the folder) and sweep.png.

        Returns:
          The names of the files; there is no figure if no field has numbers.
        """
        sweep_folder.write(whole, recipe, self.members, [self._row(m) for m in self.members])
        rows = [
            {"folder": row.pop("folder"), **row.pop("values"), **row}
            for row in sweep_folder.rows(whole)
        ]
        results = ("state", "validation_accuracy", self.measure, "train_seconds")
        last = dict.fromkeys((*results, *(key for row in rows for key in row if key in results)))
        fields = dict.fromkeys(key for row in rows for key in row if key not in last)
        write_csv(whole.folder / CSV, [*fields, *last], rows)
        points = [
            Point(one.assignment, one.values, one.mean.mean, _interval(one.mean), one is self.best)
            for one in self.settings
            if one.mean
        ]
        drawn = sweep_figure.draw(points, self.measure.replace("_", " "), whole.folder / FIGURE)
        return [sweep_folder.NAME, CSV, *([FIGURE] if drawn else [])]

    def _row(self, member: Member) -> dict[str, Any]:
        summary = (not member.divergence() and member.summary()) or {}
        keys = dict.fromkeys(("validation_accuracy", self.measure, "train_seconds"))
        return {key: summary.get(key) for key in keys}


def _spread(mean: Mean | None) -> list[str]:
    if mean is None:
        return ["0", "", ""]
    interval = _interval(mean)
    return [
        str(mean.n),
        "" if mean.sd is None else f"{mean.sd:.2%}",
        f"{interval[0]:.2%} to {interval[1]:.2%}" if interval else "",
    ]


def _interval(mean: Mean) -> tuple[float, float] | None:
    return None if mean.low is None or mean.high is None else (mean.low, mean.high)
