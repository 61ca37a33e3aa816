"""The plan of a run: an experiment in steps, completed with the facts of its data."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.errors import ConfigError, UserError, blamed_on
from cnn_jax.experiment.data_facts import DataFacts
from cnn_jax.experiment.definition import Experiment
from cnn_jax.losses import Loss
from cnn_jax.optim import Lookahead, LookaheadSGD, ScheduleFree
from cnn_jax.optim.freezing import frozen

# Steps are counted in an i32.
MOST_STEPS = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Plan:
    """An experiment converted to steps and completed with the facts of its data.

    Attributes:
      experiment: The experiment.
      data: The facts of its data.
      model: The net, with the data's number of classes.
      normalize: The normalisation, with the data's statistics.
      loss: The loss, with the data's class weights.
      steps_per_epoch: Number of batches in the training set: of full ones with `drop_last`, which
        leaves out other examples in each epoch, and otherwise of all.
      total_steps: Number of steps of the run.
      tx: The optimiser, as an optax transformation.
      teacher: The plan of the run that this one distils, see transfer/teacher.py.
    """

    experiment: Experiment
    data: DataFacts
    model: nn.Module
    normalize: Normalize
    loss: Loss
    steps_per_epoch: int
    total_steps: int
    tx: optax.GradientTransformation
    teacher: Plan | None = None

    @classmethod
    def of(cls, experiment: Experiment, data: DataFacts) -> Plan:
        """Completes an experiment. Raises UserError if a field does not fit the data."""
        _check(experiment, data)
        model, loss = _model(experiment, data), _loss(experiment, data)
        steps_per_epoch, total_steps = _steps(experiment, data)
        return cls(
            experiment=experiment,
            data=data,
            model=model,
            normalize=experiment.normalize.resolve(data.mean, data.std),
            loss=loss,
            steps_per_epoch=steps_per_epoch,
            total_steps=total_steps,
            tx=_transformation(experiment, steps_per_epoch, total_steps),
        )

    @property
    def examples_per_epoch(self) -> int:
        """Number of training examples that the steps of an epoch process."""
        return min(self.steps_per_epoch * self.experiment.batch_size, self.data.train)

    @property
    def forward_passes(self) -> int:
        """Forward passes that an image's training costs: a backward pass counts as two.

        What remat recomputes is no part of it.
        """
        return 3 * self.experiment.gradient.passes

    @property
    def partial_batch(self) -> int:
        """Number of examples in each epoch's last batch if it is smaller; 0: no step takes one."""
        if self.total_steps < self.steps_per_epoch:
            return 0
        return self.examples_per_epoch % self.experiment.batch_size

    def examples(self, steps: int) -> int:
        """Returns how many training examples the first `steps` steps process, over all epochs."""
        epochs, further = divmod(steps, self.steps_per_epoch)
        return epochs * self.examples_per_epoch + further * self.experiment.batch_size

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of step `step`, counted from 0."""
        experiment = self.experiment
        factor = experiment.schedule.factor(self.total_steps, self.steps_per_epoch)
        with jax.ensure_compile_time_eval():
            return float(
                experiment.optimizer.peak(experiment.batch_size) * factor(jnp.asarray(step))
            )


def _check(experiment: Experiment, data: DataFacts) -> None:
    """Raises UserError if fields do not fit the data or each other."""
    batch_size = experiment.batch_size
    if batch_size > data.train:
        raise UserError(
            f"batch_size must be at most the {data.train} training examples of {data.name}, "
            f"got {batch_size}"
        )
    for field in ("keep_best", "patience"):
        if getattr(experiment, field) and not data.validation:
            raise UserError(
                f"{field} needs validation images, but {data.name} has none: raise data.validation"
            )
    if experiment.select_by != "accuracy" and not (experiment.keep_best or experiment.patience):
        raise UserError("select_by needs keep_best or patience, which choose by it")
    weights = getattr(experiment.loss, "class_weights", None)
    if experiment.sampling == "balanced" and weights == "balanced":
        raise UserError(
            "sampling must be uniform with loss.class_weights='balanced': each alone makes up "
            "for the sizes of the classes"
        )
    experiment.gradient.check(batch_size)
    if experiment.lookahead and isinstance(experiment.optimizer, LookaheadSGD):
        raise UserError("lookahead must be None with LookaheadSGD, which has its own")
    if isinstance(experiment.optimizer, ScheduleFree):
        name = type(experiment.optimizer).__name__
        for field, off in (("ema", 0), ("lookahead", None)):
            if getattr(experiment, field):
                raise UserError(
                    f"{field} must be {off} with {name}, which averages the weights itself"
                )


def _model(experiment: Experiment, data: DataFacts) -> nn.Module:
    """The net, with the data's number of classes."""
    model = experiment.model
    if getattr(model, "num_classes", 0) is None:
        model = model.clone(num_classes=data.num_classes)
    elif getattr(model, "num_classes", data.num_classes) != data.num_classes:
        raise UserError(
            f"model.num_classes must be the {data.num_classes} of {data.name} or None, "
            f"got {model.num_classes}"
        )
    return model


def _loss(experiment: Experiment, data: DataFacts) -> Loss:
    """The loss, with the data's class weights."""
    with blamed_on("loss"):
        try:
            return experiment.loss.resolve(data.class_counts)
        except UserError as error:
            classes = ", ".join(data.classes)
            raise ConfigError(f"{error}; the classes of {data.name} are {classes}") from error


def _steps(experiment: Experiment, data: DataFacts) -> tuple[int, int]:
    """The number of steps in an epoch, and in the run."""
    left_over = data.train % experiment.batch_size and not experiment.drop_last
    steps_per_epoch = data.train // experiment.batch_size + bool(left_over)
    total_steps = max(1, round(experiment.epochs * steps_per_epoch))
    if total_steps > MOST_STEPS:
        raise UserError(
            f"epochs must give at most {MOST_STEPS:,} steps, got {experiment.epochs:g} epochs "
            f"of {steps_per_epoch:,} steps"
        )
    return steps_per_epoch, total_steps


def _transformation(
    experiment: Experiment, steps_per_epoch: int, total_steps: int
) -> optax.GradientTransformation:
    """The optimiser with its schedule, averaging and frozen parameters."""
    with blamed_on("schedule", component=experiment.schedule):
        factor = experiment.schedule.factor(total_steps, steps_per_epoch)
        share = jax.eval_shape(factor, jax.ShapeDtypeStruct((), jnp.int32))
        if getattr(share, "shape", None) != ():
            raise UserError(
                f"schedule: {type(experiment.schedule).__name__} must give a number for each step, "
                f"got {share}"
            )
    with blamed_on("optimizer", component=experiment.optimizer):
        tx = experiment.optimizer.build(
            factor, batch_size=experiment.batch_size, total_steps=total_steps
        )
    if not isinstance(tx, optax.GradientTransformation):
        raise UserError(
            f"optimizer: {type(experiment.optimizer).__name__} must build an "
            f"optax.GradientTransformation, got {type(tx).__name__}"
        )
    for field in ("lookahead", "optimizer"):
        ahead = getattr(experiment, field)
        if isinstance(ahead, Lookahead | LookaheadSGD) and ahead.interval > total_steps:
            raise UserError(
                f"{field}.interval must be at most the run's {total_steps:,} steps, got "
                f"{ahead.interval:,}: the slow weights would never move"
            )
    if experiment.lookahead:
        tx = experiment.lookahead.around(tx, total_steps)
    return frozen(tx, experiment.freeze) if experiment.freeze else tx
