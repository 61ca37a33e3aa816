"""A run of a second on the built-in shapes: 12 steps, with checkpoints after 8 and 12."""

from __future__ import annotations

from rich.console import Console

from cnn_jax.data import Shapes
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP

QUIET = Console(quiet=True)
EXPERIMENT = Experiment(
    data=Shapes(train=64, validation=32, test=16), model=MLP(hidden=(4,)), batch_size=16, epochs=3
)
