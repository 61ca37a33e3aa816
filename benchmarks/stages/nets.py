"""The experiments that the stages measure: recipes by name, and tiny ones for a rehearsal."""

import dataclasses
import sys
from typing import Any

from cnn_jax import config
from cnn_jax.config import to_text
from cnn_jax.config.names import NAMES
from cnn_jax.data import Shapes
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP
from cnn_jax.setup import Setup
from stages.task import Context

# A net of two layers, which compiles fast, and two epochs of eight steps, on data without files.
TINY = Experiment(
    data=Shapes(train=256, validation=64, test=64),
    model=MLP(hidden=(8,)),
    batch_size=32,
    epochs=2,
)


def experiment(recipe: str, context: Context, **changes: Any) -> Experiment:
    """The experiment of a recipe in experiments/; in a rehearsal, a tiny one in its place."""
    stated = TINY if context.rehearse else config.load(recipe, NAMES).experiment
    return dataclasses.replace(stated, **changes)


def setup(recipe: str, context: Context, **changes: Any) -> Setup:
    """The recipe's experiment with its data, checked."""
    return Setup.of(experiment(recipe, context, **changes), data_dir=context.data_dir)


def command(recipe: str, context: Context, *flags: str) -> list[str]:
    """The command that trains a recipe in bfloat16 by `run.py`; in a rehearsal, a tiny one."""
    chosen = [f"--config={recipe}", "--config.precision=bfloat16"]
    if context.rehearse:
        chosen = ["--config=cifar10_mlp", "--config.batch_size=32", "--config.epochs=2"]
        chosen += [f"--config.{name}={to_text(getattr(TINY, name))}" for name in ("data", "model")]
    if context.data_dir:
        chosen.append(f"--data_dir={context.data_dir}")
    return [sys.executable, "run.py", *chosen, *flags]
