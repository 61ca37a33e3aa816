"""Reads the space of a search."""

import ast
from dataclasses import dataclass
from typing import Any

from cnn_jax.errors import UserError

FORMS = "log(1e-3, 1), uniform(0, 0.5), int(1, 8) or choice(16, 32, 64)"


@dataclass(frozen=True)
class Axis:
    """What a field may be.

    Attributes:
      kind: "log", "uniform", "int" or "choice".
      low, high: The range; None for a choice.
      choices: The values of a choice, as text.
    """

    kind: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def examples(self) -> tuple[str, ...]:
        """Values as text: all choices, or both ends and, if it is not whole, one between them."""
        if self.low is None or self.high is None:
            return self.choices
        between = f"{self.low + 0.382 * (self.high - self.low):.4g}"
        return str(self.low), *([] if self.kind == "int" else [between]), str(self.high)

    def suggest(self, trial: Any, name: str) -> str:
        """Asks an Optuna trial for a value; returns it as text."""
        if self.kind == "choice":
            return trial.suggest_categorical(name, self.choices)
        if self.kind == "int":
            return str(trial.suggest_int(name, self.low, self.high))
        return repr(float(trial.suggest_float(name, self.low, self.high, log=self.kind == "log")))


def space(text: str) -> dict[str, Axis]:
    """The axes of "optimizer.peak_lr=log(1e-3,1); model.width=choice(16,32)", by field.

    Raises:
      UserError: the text has another form.
    """
    axes: dict[str, Axis] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name:
            raise UserError(f"--space: {part!r} must have the form field={FORMS}")
        if name in axes:
            raise UserError(f"--space: {part!r} repeats a field")
        axes[name] = _axis(part, value)
    if not axes:
        raise UserError(f"--space must name fields and what they may be: field={FORMS}")
    return axes


def _axis(part: str, text: str) -> Axis:
    wrong = UserError(f"--space: {part!r} must have the form field={FORMS}")
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise wrong from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
        raise wrong
    kind = call.func.id
    if kind == "choice" and call.args:
        return Axis(kind, choices=tuple(dict.fromkeys(map(ast.unparse, call.args))))
    try:
        low, high = (ast.literal_eval(argument) for argument in call.args)
    except ValueError:
        raise wrong from None
    kinds = {"log": (int, float), "uniform": (int, float), "int": (int,)}
    if not {type(low), type(high)} <= set(kinds.get(kind, ())):
        raise wrong
    if not low < high or (kind == "log" and low <= 0):
        raise UserError(f"--space: {part!r} must go up{', from above 0' if kind == 'log' else ''}")
    return Axis(kind, low, high)
