"""Errors in a component of an experiment, such as a user's own optimiser."""

from __future__ import annotations

import dataclasses

import pytest

from cnn_jax import config, models
from cnn_jax.augment import Flip
from cnn_jax.data import Shapes
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
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


class ForgetfulData(BrokenData):
    def resolve(self, data_dir=None):
        return self


class SplitData(BrokenData):
    def load(self, data_dir=None):
        return ()


class FewArgumentsLoss(Softmax):
    def __call__(self, logits):
        return logits.sum(-1)


class FewArgumentsFlip(Flip):
    def __call__(self, batch):
        return batch


class FewArgumentsOptimizer(SGD):
    def _rule(self, factor):
        return factor


class FewArgumentsSchedule(Constant):
    def _curve(self):
        return None


class NoShare(Constant):
    def _curve(self, steps):
        return lambda step: None


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


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"data": ForgetfulData("")}, "data fails at {}: TypeError: cannot unpack non-iterable"),
        ({"data": SplitData("")}, "data: SplitData.load must return a Dataset, got tuple"),
        ({"loss": FewArgumentsLoss()}, "loss fails at {}: TypeError: .* takes 2 positional arg"),
        ({"augment": (FewArgumentsFlip(),)}, "augment fails at {}: TypeError: .* takes 2 pos"),
        ({"optimizer": FewArgumentsOptimizer()}, "optimizer fails at {}: TypeError: .* takes 2"),
        ({"schedule": FewArgumentsSchedule()}, "schedule fails at {}: TypeError: .* takes 1"),
        ({"schedule": NoShare()}, "schedule: NoShare must give a number for each step, got None"),
    ],
    ids=lambda value: str(*value) if isinstance(value, dict) else "",
)
def test_a_wrong_signature_or_result_is_one_line_that_names_its_class(changed, error, monkeypatch):
    """The error itself arises in the package, which calls the component or uses its result."""
    monkeypatch.setattr(config, "check", lambda *_: None)  # these classes are no dataclasses
    experiment = dataclasses.replace(
        Experiment(data=Shapes(train=64, validation=0, test=16), model=models.MLP((4,))),
        **{"batch_size": 16, **changed},
    )
    place = r".*test_component_errors\.py:\d+"
    with pytest.raises(UserError, match=f"^{error.format(place)}") as caught:
        _ = Setup.of(experiment).lowered_steps
    assert "\n" not in str(caught.value)
