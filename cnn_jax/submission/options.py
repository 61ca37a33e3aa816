"""Reads what a job asks of its scheduler."""

import math
from typing import Any

from cnn_jax.errors import UserError

# Our short names of numbers: submitit's parameter, and its units in one of ours.
_NUMBERS = {
    "hours": ("timeout_min", 60),
    "gpus": ("gpus_per_node", 1),
    "cpus": ("cpus_per_task", 1),
    "memory": ("mem_gb", 1),
    "nodes": ("nodes", 1),
}


def options(text: str) -> dict[str, Any]:
    """The parameters of submitit for "partition=gpu,gpus=1,hours=8".

    Args:
      text: `hours`, `gpus` and `cpus` (of a node and of a process), `memory` (GB) and `nodes` are
        numbers; every other name is an option of sbatch. A value may have commas:
        "nodelist=n1,n2,gpus=1".

    Raises:
      UserError: the text has another form, or a number is none.
    """
    given: dict[str, str] = {}
    last = ""
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if equals:
            last = name.strip().lstrip("-")
            given[last] = value.strip()
        elif last:
            given[last] += f",{part}"
        else:
            raise UserError(f"--slurm: {part!r} must have the form name=value")
    found: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in given.items():
        if f"{name}s" in _NUMBERS:
            raise UserError(f"--slurm: write {name}s={value}")
        if name not in _NUMBERS:
            others[name.replace("_", "-")] = value
            continue
        parameter, units = _NUMBERS[name]
        try:
            number = float(value) * units
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number > 0) or (units == 1 and number % 1):
            raise UserError(f"--slurm: {name}={value} must be a positive number")
        found[parameter] = math.ceil(number)
    return found | ({"slurm_additional_parameters": others} if others else {})
