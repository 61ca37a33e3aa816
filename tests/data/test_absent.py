"""A data set that is not there can be planned with, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from program import one_line
from small_run import QUIET

from cnn_jax import cli, models
from cnn_jax.data import Absent, DataInvalid
from cnn_jax.experiment import DataFacts, Experiment
from cnn_jax.train import train

SMALL = Absent(train=70, validation=8, test=10, size=16, classes=7)


def test_its_sizes_are_those_that_were_asked_for():
    facts = DataFacts.of(SMALL.load())
    assert (facts.train, facts.validation, facts.test) == (70, 8, 10)
    assert (facts.image_shape, facts.num_classes, facts.streamed) == ((16, 16, 3), 7, True)
    np.testing.assert_array_equal(facts.class_counts, [10] * 7)


def test_it_can_not_be_trained_on(tmp_path):
    one = Experiment(data=SMALL, model=models.MLP(hidden=(2,)), batch_size=8)
    with pytest.raises(DataInvalid, match="Absent has no images") as caught:
        train(one, tmp_path / "run", console=QUIET)
    assert one_line(str(caught.value))


def test_a_dry_run_plans_with_it(capsys):
    arguments = ("--config.model=MLP(hidden=(2,))", "--config.augment=()", "--dry_run")
    assert cli.main(["run.py", "--config.data=Absent(size=16)", *arguments]) == 0
    assert "absent: 1,281,167 train" in capsys.readouterr().out
