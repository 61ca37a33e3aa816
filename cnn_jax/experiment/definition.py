"""What an experiment consists of."""

import dataclasses
from typing import Annotated, Literal

import flax.linen as nn

from cnn_jax.augment import Augmentation
from cnn_jax.augment.test_time import Views
from cnn_jax.data import DataConfig
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.losses import Distill, Loss, Softmax
from cnn_jax.optim import (
    SGD,
    Cosine,
    GradientRule,
    Lookahead,
    Optimizer,
    Plain,
    Schedule,
)
from cnn_jax.ranges import Checked, Fraction, LocalPath, Positive, within

# `jax.random.key` uses 32 bits of the seed.
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
      convolutions: How a CPU convolves. "fast": by this package in JAX; "onednn": by the library
        oneDNN and by this package in C++, and on one device with AVX-512 BatchNorm's sums as well;
        this is faster, and needs the extra `onednn` and a C++ compiler; "stock": by JAX, as GPUs
        and TPUs always do.
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
