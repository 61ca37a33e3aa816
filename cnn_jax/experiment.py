"""Defines the experiment, which a recipe states, and the plan derived from it and its data."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnn_jax.augment import Augmentation
from cnn_jax.augment.test_time import Views
from cnn_jax.data import DataConfig, Dataset
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.errors import ConfigError, UserError, blamed_on
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
from cnn_jax.ranges import Checked, Fraction, LocalPath, Positive, within

# Steps are counted in an i32, and `jax.random.key` uses 32 bits of the seed.
MOST_STEPS = 2**31 - 1
MOST_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment(Checked):
    """An experiment: everything that decides its result, in hardware-independent units.

    Attributes:
      data: The data set.
      model: The net, a Flax module f32[B,H,W,C] -> f32[B,K].
      init_from: Initial weights, used for parameters whose shapes match: the workdir of a run, the
        .safetensors of an exported net, or a PyTorch state dict as .safetensors or .npz; "": random
        weights.
      freeze: Patterns of parameters that are not trained, such as "Conv_0/*". The running
        statistics of normalisation layers are not parameters and are still updated.
      loss: The loss of each example, given the scores.
      distill: Knowledge distillation from a teacher; None: off.
      sampling: How an epoch's examples are drawn. "uniform": each once, in random order;
        "balanced": every class equally often, at random with replacement within a class. Against
        class imbalance, use this or the loss's `class_weights`: each makes up for all of it.
      augment: Augmentations of each training batch, in this order; those that mix examples last.
      normalize: Normalisation of pixels, in training, evaluation and export.
      gradient: The gradient rule: Plain(), SAM(), ASAM() or Accumulate().
      optimizer: The optimiser, with its peak learning rate.
      schedule: The learning-rate schedule, as a share of the optimiser's peak.
      lookahead: Lookahead() around the optimiser, which averages fast and slow weights; None: off.
      ema: Decay per step of the exponential moving average of the weights that validation, test
        and prediction use, such as 0.999; 0: off.
      batch_size: Examples per step, over all devices.
      drop_last: Whether to leave out the last batch of an epoch if it is smaller than the others:
        at batch size 128, each epoch leaves out 80 of 50,000 images, at random. False: each epoch
        uses all images. The smaller batch is a step like any other, with the mean loss of its
        examples. Devices that do not divide it compute all of it each.
      epochs: Number of epochs; may be fractional.
      seed: Random seed of the initialisation, data order, augmentation and dropout.
      tta: Test-time augmentation, in validation and test: the views whose scores are averaged.
        "none": the image; "mirror": also its mirror image; "mirror_translate": these two with
        weight 1/2, and the same of two shifts by one pixel with weight 1/4 each.
      patience: Early stopping: epochs without a new best validation accuracy before the run ends;
        None: off.
      keep_best: Whether to test the weights with the best validation accuracy, not the last.
      select_by: The validation measure by which keep_best and patience choose. "balanced_accuracy":
        the mean of the classes' accuracies.
      parallel: Data parallelism over the devices: "jit" shards the batch; "pmap" runs a program on
        each device and sums gradients explicitly.
      precision: Precision of the net's computations; parameters, data statistics and scores are
        always float32.
      convolutions: How a CPU convolves. "fast": by this package; "onednn": by the library oneDNN
        where it is faster, which needs the extra `onednn` and a C++ compiler; "stock": by JAX, as
        GPUs and TPUs always do.
      remat: Rematerialisation: whether the backward pass recomputes the activations inside each
        block of the net, such as a residual block, instead of keeping them. A larger batch fits, at
        the cost of up to one more forward pass. Results are the same up to rounding. A net without
        blocks, such as VGG16, is an error. On a CPU, jax 0.10 saves no memory.
    """

    data: DataConfig
    model: nn.Module
    init_from: LocalPath = ""
    freeze: tuple[str, ...] = ()
    loss: Loss = Softmax()
    distill: Distill | None = None
    sampling: Literal["uniform", "balanced"] = "uniform"
    augment: tuple[Augmentation, ...] = ()
    normalize: Normalize = Normalize()
    gradient: GradientRule = Plain()
    optimizer: Optimizer = SGD()
    schedule: Schedule = Cosine()
    lookahead: Lookahead | None = None
    ema: Fraction[float] = 0.0
    batch_size: Positive[int] = 128
    drop_last: bool = True
    epochs: Positive[float] = 10
    seed: Annotated[int, within(0, MOST_SEED)] = 0
    tta: Views = "none"
    patience: Positive[int | None] = None
    keep_best: bool = False
    select_by: Literal["accuracy", "balanced_accuracy"] = "accuracy"
    parallel: Literal["jit", "pmap"] = "jit"
    precision: Literal["float32", "bfloat16"] = "float32"
    convolutions: Literal["fast", "onednn", "stock"] = "fast"
    remat: bool = False

    def __post_init__(self):
        super().__post_init__()
        self._check_mixing()

    @property
    def mixes_examples(self) -> bool:
        """Whether training labels are class weights f32[B,K] instead of class indices."""
        return any(augment.mixes_examples for augment in self.augment)

    def _check_mixing(self):
        if not isinstance(self.augment, tuple):  # reported by the config's type check
            return
        mixing = ""
        for augment in self.augment:
            name = type(augment).__name__
            if getattr(augment, "mixes_examples", False):
                mixing = mixing or name
            elif mixing:
                raise ValueError(
                    f"augment must have {name} before {mixing}: mixing examples comes last"
                )
        if mixing and not getattr(self.loss, "takes_mixed_labels", False):
            raise ValueError(
                f"loss must support mixed labels, since augment has {mixing}: "
                f"{type(self.loss).__name__} does not, Softmax does"
            )


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """The facts about the data that a plan needs. A run stores them, to be restored without data.

    Attributes:
      name: Name under which results are recorded.
      classes: The class names.
      image_shape: Height, width and channels of an image.
      mean: Mean of each channel, pixels scaled to 0..1.
      std: Standard deviation of each channel, pixels scaled to 0..1.
      train: Number of training images.
      validation: Number of validation images; 0: none.
      test: Number of test images.
      fingerprint: Digest of the content.
      class_counts: Number of training images of each class; () for a run recorded before this
        field existed.
      streamed: Whether images are decoded when they are needed, and not kept in memory.
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
    # The digest of a teacher hashes the repr of its facts, and digests recorded before stay valid.
    # `fingerprint` covers the labels.
    class_counts: tuple[int, ...] = dataclasses.field(default=(), repr=False)
    streamed: bool = dataclasses.field(default=False, repr=False)

    @classmethod
    def of(cls, data: Dataset) -> DataFacts:
        """Returns the facts of a data set."""
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
            class_counts=tuple(np.bincount(data.train.labels, minlength=data.num_classes).tolist()),
            streamed=not isinstance(data.train.images, np.ndarray),
        )

    @property
    def num_classes(self) -> int:
        return len(self.classes)


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
        batch_size = experiment.batch_size
        if batch_size > data.train:
            raise UserError(
                f"batch_size must be at most the {data.train} training examples of {data.name}, "
                f"got {batch_size}"
            )
        for field in ("keep_best", "patience"):
            if getattr(experiment, field) and not data.validation:
                raise UserError(
                    f"{field} needs validation images, but {data.name} has none: raise "
                    "data.validation"
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
        model = experiment.model
        if getattr(model, "num_classes", 0) is None:
            model = model.clone(num_classes=data.num_classes)
        elif getattr(model, "num_classes", data.num_classes) != data.num_classes:
            raise UserError(
                f"model.num_classes must be the {data.num_classes} of {data.name} or None, "
                f"got {model.num_classes}"
            )
        with blamed_on("loss"):
            try:
                loss = experiment.loss.resolve(data.class_counts)
            except UserError as error:
                classes = ", ".join(data.classes)
                raise ConfigError(f"{error}; the classes of {data.name} are {classes}") from error
        left_over = data.train % batch_size and not experiment.drop_last
        steps_per_epoch = data.train // batch_size + bool(left_over)
        total_steps = max(1, round(experiment.epochs * steps_per_epoch))
        if total_steps > MOST_STEPS:
            raise UserError(
                f"epochs must give at most {MOST_STEPS:,} steps, got {experiment.epochs:g} epochs "
                f"of {steps_per_epoch:,} steps"
            )
        with blamed_on("schedule"):
            factor = experiment.schedule.factor(total_steps, steps_per_epoch)
        with blamed_on("optimizer"):
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
            loss=loss,
            steps_per_epoch=steps_per_epoch,
            total_steps=total_steps,
            tx=frozen(tx, experiment.freeze) if experiment.freeze else tx,
        )

    @property
    def examples_per_epoch(self) -> int:
        """Number of training examples that the steps of an epoch process."""
        return min(self.steps_per_epoch * self.experiment.batch_size, self.data.train)

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
