"""Errors in a component of an experiment, such as a user's own optimiser."""

from __future__ import annotations

import dataclasses

import pytest

from cnn_jax import config, models
from cnn_jax.data import Shapes
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.optim import SGD, Constant
from cnn_jax.setup import Setup


@dataclasses.dataclass(frozen=True)
class BrokenData:
    """Fails where it is told to."""

    where: str

    def resolve(self, data_dir=None):
        return self, {}["resolve"] if self.where == "resolve" else ""

    def load(self, data_dir=None):
        raise ValueError("bad data")


class BrokenOptimizer(SGD):
    def _rule(self, factor, batch_size, total_steps):
        return {}["rule"]


class BrokenSchedule(Constant):
    def _curve(self, steps):
        return 1 / 0


@pytest.mark.parametrize(
    ("changed", "part", "error"),
    [
        ({"data": BrokenData("resolve")}, "data", "KeyError: 'resolve'"),
        ({"data": BrokenData("load")}, "data", "ValueError: bad data"),
        ({"optimizer": BrokenOptimizer()}, "optimizer", "KeyError: 'rule'"),
        ({"schedule": BrokenSchedule()}, "schedule", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_in_a_component_is_one_line_with_its_place(changed, part, error, monkeypatch):
    monkeypatch.setattr(config, "check", lambda *_: None)  # these classes are no dataclasses
    experiment = dataclasses.replace(
        Experiment(data=Shapes(train=64, validation=0, test=16), model=models.MLP()),
        **{"batch_size": 16, **changed},
    )
    with pytest.raises(
        UserError, match=rf"^{part} fails at .*test_component_errors\.py:\d+: {error}$"
    ):
        Setup.of(experiment)
