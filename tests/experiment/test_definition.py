"""What an experiment accepts, and its text."""

from __future__ import annotations

import dataclasses

import pytest

from cnn_jax import config, models
from cnn_jax.config.names import NAMES
from cnn_jax.data import Shapes
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.optim import SAM, Accumulate, Plain


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -1),
        ("epochs", 0.0),
        ("epochs", float("nan")),
        ("epochs", float("inf")),
        ("ema", -0.1),
        ("ema", 1.0),
        ("seed", -1),
        ("tta", "flip"),
        ("sampling", "weighted"),
        ("select_by", "loss"),
        ("parallel", "shard"),
        ("convolutions", "slow"),
    ],
)
def test_impossible_fields_are_named(field, value):
    with pytest.raises(ValueError, match=f"^{field} must"):
        Experiment(data=Shapes(), model=models.LeNet(), **{field: value})


@pytest.mark.parametrize("weights", ["balanced", (1.0, 2.5)])
def test_class_weights_are_written_and_read(weights):
    experiment = Experiment(
        data=Shapes(),
        model=models.LeNet(),
        loss=Softmax(class_weights=weights),
        sampling="balanced",
        keep_best=True,
        select_by="balanced_accuracy",
    )
    text = config.to_text(experiment)
    assert f"loss=Softmax(class_weights={weights!r}), sampling='balanced'" in text
    assert config.from_text(text, NAMES) == experiment


def test_what_a_config_from_before_a_field_leaves_out_has_its_default():
    """A run's config.json names what differs from the defaults; new fields change nothing there."""
    text = "Experiment(data=Shapes(), model=LeNet())"
    experiment = config.from_text(text, NAMES)
    assert (experiment.gradient, experiment.ema) == (Plain(), 0.0)
    assert config.to_text(experiment) == text
    averaged = dataclasses.replace(experiment, gradient=Accumulate(2, SAM(rho=0.1)), ema=0.99)
    assert config.from_text(config.to_text(averaged), NAMES) == averaged
