"""The experiment, as a recipe states it, and the plan that it becomes once the data is known."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnn_jax import ranges
from cnn_jax.augment import Augmentation
from cnn_jax.augment.test_time import Views
from cnn_jax.data import DataConfig, Dataset
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.errors import UserError
from cnn_jax.losses import Distill, Loss, Softmax
from cnn_jax.optim import (
    SGD,
    Cosine,
    GradientRule,
    Lookahead,
    LookaheadSGD,
    Optimizer,
    Plain,
    Schedule,
    ScheduleFree,
)
from cnn_jax.optim.freezing import frozen

# The step is counted in an i32, and a key is made of 32 bits of the seed.
MOST_STEPS = 2**31 - 1
MOST_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment: everything that decides its result, in intent units.

    Attributes:
      data: The data set.
      model: The net, a Flax module from f32[B,H,W,C] to f32[B,K].
      init_from: What to begin with instead of random weights, wherever shapes fit: the folder of a
        run, the .safetensors of an exported one, or a PyTorch net's state dict as .safetensors or
        .npz; "": nothing.
      freeze: Patterns of the parameters that training leaves as they are, such as "Conv_0/*". The
        running statistics of norms are no parameters: they go on.
      loss: From the scores to a number per example.
      distill: The teacher whose scores are learnt too; None: none.
      augment: What each training batch passes through, in this order; what mixes examples last.
      normalize: How pixels become the net's input, in training and ever after.
      gradient: How the gradient of a batch is found: Plain(), SAM(), ASAM() or Accumulate().
      optimizer: From gradients to updates.
      schedule: The learning rate's course, as a share of the optimiser's peak.
      lookahead: Weights that return to slower ones every few steps, Lookahead(); None: they don't.
      ema: Decay per step of a moving average of the weights, which is then what validation, test
        and prediction see, such as 0.999; 0: none.
      batch_size: Examples in a step, over all devices.
      epochs: Passes over the training set; a fraction ends within one.
      seed: Of the initialisation, the order, the augmentation and the dropout.
      tta: Views of each image of validation and test whose scores are averaged: "none": the image;
        "mirror": it and its mirror image, .5 each; "mirror_translate": those by .5, and by .25 each
        the same of the image shifted by one pixel up and left, and down and right.
      patience: Epochs without a new best accuracy on validation after which the run ends early;
        None: it never does.
      keep_best: Whether the test set sees the weights that were best on validation, not the last.
      parallel: How a step is spread over the devices: "jit" shards the batch, "pmap" sums by hand.
      precision: What the net computes in; parameters, statistics of the data and scores are float32
        either way.
      convolutions: "fast": with this package's gradients; "stock": the library's own.
    """

    data: DataConfig
    model: nn.Module
    init_from: str = ""
    freeze: tuple[str, ...] = ()
    loss: Loss = Softmax()
    distill: Distill | None = None
    augment: tuple[Augmentation, ...] = ()
    normalize: Normalize = Normalize()
    gradient: GradientRule = Plain()
    optimizer: Optimizer = SGD()
    schedule: Schedule = Cosine()
    lookahead: Lookahead | None = None
    ema: float = 0.0
    batch_size: int = 128
    epochs: float = 10
    seed: int = 0
    tta: Views = "none"
    patience: int | None = None
    keep_best: bool = False
    parallel: Literal["jit", "pmap"] = "jit"
    precision: Literal["float32", "bfloat16"] = "float32"
    convolutions: Literal["fast", "stock"] = "fast"

    def __post_init__(self):
        ranges.positive(batch_size=self.batch_size, epochs=self.epochs, patience=self.patience)
        ranges.fraction(ema=self.ema)
        ranges.non_negative(seed=self.seed)
        if self.seed > MOST_SEED:
            raise ValueError(f"seed must be at most {MOST_SEED:,}, got {self.seed:,}")
        ranges.one_of(get_args(Views), tta=self.tta)
        ranges.one_of(("jit", "pmap"), parallel=self.parallel)
        ranges.one_of(("float32", "bfloat16"), precision=self.precision)
        ranges.one_of(("fast", "stock"), convolutions=self.convolutions)
        self._check_mixing()

    @property
    def mixes_examples(self) -> bool:
        """Whether labels are weights of classes in training, f32[B,K]."""
        return any(augment.mixes_examples for augment in self.augment)

    def _check_mixing(self):
        """What mixes examples comes last, and needs a loss that takes what becomes of labels."""
        if not isinstance(self.augment, tuple):  # which the config's check tells
            return
        mixing = ""
        for augment in self.augment:
            name = type(augment).__name__
            if getattr(augment, "mixes_examples", False):
                mixing = mixing or name
            elif mixing:
                raise ValueError(
                    f"augment must have {name} before {mixing}: what mixes examples comes last"
                )
        if mixing and not getattr(self.loss, "takes_mixed_labels", False):
            raise ValueError(
                f"loss must take mixed labels, since augment has {mixing}: "
                f"{type(self.loss).__name__} can't, Softmax can"
            )


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What a plan needs to know of the data; a run keeps it, so that it can be restored without.

    Attributes:
      name: What numbers made on the data are filed under.
      classes: The classes' names.
      image_shape: Height, width and channels of an image.
      mean: Mean of each channel, of pixels scaled to 0..1.
      std: Standard deviation of each channel, likewise.
      train: Number of training images.
      validation: Number of validation images; 0: none.
      test: Number of test images.
      fingerprint: Digest of the content.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: int
    validation: int
    test: int
    fingerprint: str

    @classmethod
    def of(cls, data: Dataset) -> DataFacts:
        """The facts of a data set in memory."""
        return cls(
            name=data.name,
            classes=data.classes,
            image_shape=data.image_shape,
            mean=data.mean,
            std=data.std,
            train=len(data.train),
            validation=len(data.validation) if data.validation else 0,
            test=len(data.test),
            fingerprint=data.fingerprint,
        )

    @property
    def num_classes(self) -> int:
        return len(self.classes)


@dataclasses.dataclass(frozen=True)
class Plan:
    """An experiment in steps, with what its data decides filled in.

    Attributes:
      experiment: As the recipe states it.
      data: The facts of its data.
      model: The net, with the data's number of classes.
      normalize: With the data's statistics.
      steps_per_epoch: Full batches in the training set; the examples left over differ by epoch.
      total_steps: Steps of the whole run.
      tx: The optimiser, as an optax transformation.
      teacher: The plan of the run that this one distils, see teacher.py.
    """

    experiment: Experiment
    data: DataFacts
    model: nn.Module
    normalize: Normalize
    steps_per_epoch: int
    total_steps: int
    tx: optax.GradientTransformation
    teacher: Plan | None = None

    @classmethod
    def of(cls, experiment: Experiment, data: DataFacts) -> Plan:
        """Raises UserError, naming the field, where experiment and data don't fit."""
        batch_size = experiment.batch_size
        if batch_size > data.train:
            raise UserError(
                f"batch_size must be at most the {data.train} training examples of {data.name}, "
                f"got {batch_size}"
            )
        for field in ("keep_best", "patience"):
            if getattr(experiment, field) and not data.validation:
                raise UserError(
                    f"{field} needs validation images, of which {data.name} has none here: raise "
                    "data.validation"
                )
        experiment.gradient.check(batch_size)
        if experiment.lookahead and isinstance(experiment.optimizer, LookaheadSGD):
            raise UserError("lookahead must be None with LookaheadSGD, which looks ahead itself")
        if isinstance(experiment.optimizer, ScheduleFree):
            name = type(experiment.optimizer).__name__
            for field, off in (("ema", 0), ("lookahead", None)):
                if getattr(experiment, field):
                    raise UserError(
                        f"{field} must be {off} with {name}, which averages the weights itself"
                    )
        model = experiment.model
        if getattr(model, "num_classes", 0) is None:
            model = model.clone(num_classes=data.num_classes)
        elif getattr(model, "num_classes", data.num_classes) != data.num_classes:
            raise UserError(
                f"model.num_classes must be the {data.num_classes} of {data.name} or None, "
                f"got {model.num_classes}"
            )
        steps_per_epoch = data.train // batch_size
        total_steps = max(1, round(experiment.epochs * steps_per_epoch))
        if total_steps > MOST_STEPS:
            raise UserError(
                f"epochs must make at most {MOST_STEPS:,} steps, got {experiment.epochs:g} epochs "
                f"of {steps_per_epoch:,}"
            )
        factor = experiment.schedule.factor(total_steps, steps_per_epoch)
        tx = experiment.optimizer.build(factor, batch_size=batch_size, total_steps=total_steps)
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
        return cls(
            experiment=experiment,
            data=data,
            model=model,
            normalize=experiment.normalize.resolve(data.mean, data.std),
            steps_per_epoch=steps_per_epoch,
            total_steps=total_steps,
            tx=frozen(tx, experiment.freeze) if experiment.freeze else tx,
        )

    def learning_rate(self, step: int) -> float:
        """The rate that step `step` (from 0) takes."""
        experiment = self.experiment
        factor = experiment.schedule.factor(self.total_steps, self.steps_per_epoch)
        with jax.ensure_compile_time_eval():
            return float(
                experiment.optimizer.peak(experiment.batch_size) * factor(jnp.asarray(step))
            )
