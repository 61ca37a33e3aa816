"""The results of a search: a table, search.csv and a figure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.report import search_figure, tables
from cnn_jax.search.space import Axis
from cnn_jax.search.study import REFUSED, folder_name
from cnn_jax.storage.csv_files import write_csv

CSV, FIGURE = "search.csv", "search.png"
# The column of the epochs that a trial has trained; "epochs" may be a field of the space.
TRAINED = "epochs_trained"
# What Optuna calls the states of a trial, and what we do.
STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "diverged", "RUNNING": "running"}
# Trials in the table, the best first.
SHOWN = 10


class Results:
    """The trials of a search.

    Args:
      trials: Optuna's records of all trials, in the order of their numbers.
      best: The best of them; None if none has finished.
      axes: What was searched, by field.
      measure: The validation measure that was maximised.
    """

    def __init__(
        self, trials: Sequence[Any], best: Any | None, axes: Mapping[str, Axis], measure: str
    ):
        self._trials, self._best, self._axes = trials, best, axes
        self._measure = measure

    def table(self) -> Any:
        """The best trials for the terminal, and how many have ended in which way."""
        finished = [trial for trial in self._trials if _state(trial) == "finished"]
        rows = []
        for trial in sorted(finished, key=lambda trial: -trial.value)[:SHOWN]:
            fields = [_shown(trial.params[name]) for name in self._axes]
            rows.append([str(trial.number), *fields, f"{trial.value:.2%}"])
        ended = Counter(map(_state, self._trials))
        title = ", ".join(f"{number} {state}" for state, number in ended.items())
        return tables.table(["trial", *self._axes, self._name], rows, title)

    def write(self, folder: Path) -> list[str]:
        """Writes search.csv, with every trial, and search.png.

        A trial that was pruned has the measure of its last epoch, others have none.

        Returns:
          The names of the files; there is no figure before a trial has a value.
        """
        columns = ["folder", "state", *self._axes, self._measure, TRAINED]
        write_csv(folder / CSV, columns, map(self._row, self._trials))
        fields = [
            search_figure.Field(name, axis.kind == "log", axis.choices)
            for name, axis in self._axes.items()
        ]
        drawn = search_figure.draw(self._points(), fields, self._name, folder / FIGURE)
        return [CSV, *([FIGURE] if drawn else [])]

    def _row(self, trial: Any) -> dict[str, Any]:
        known = {name: trial.params.get(name) for name in self._axes}
        measured = {self._measure: _value(trial), TRAINED: trial.last_step}
        return {"folder": folder_name(trial.number), "state": _state(trial), **known, **measured}

    @property
    def _name(self) -> str:
        return self._measure.replace("_", " ")

    def _points(self) -> list[search_figure.Point]:
        best = None if self._best is None else self._best.number
        return [
            search_figure.Point(
                trial.number, trial.params, value, _state(trial) == "pruned", trial.number == best
            )
            for trial in self._trials
            if (value := _value(trial)) is not None
        ]


def _state(trial: Any) -> str:
    if REFUSED in trial.user_attrs:
        return REFUSED
    return STATES.get(trial.state.name, trial.state.name)


def _value(trial: Any) -> float | None:
    """The measure of a trial's last epoch; None if it diverged, is in training or reported none."""
    state = _state(trial)
    if state == "pruned":
        return trial.intermediate_values.get(trial.last_step)
    return trial.value if state == "finished" else None


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
