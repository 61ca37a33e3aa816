"""Augmentations: pure, batched functions (key, Batch) -> Batch that run on the device.

Images are u8[B,H,W,C] before normalisation, so zero padding is black as in the publications. An
example's randomness depends only on the step's key and the example's index, so the result does not
depend on how a batch is sharded. Augmentations that mix examples come last (mix.py).

Imports `errors`, `ranges`, `data` and `runtime`.
"""

from cnn_jax.augment.augmentation import Augmentation
from cnn_jax.augment.auto_augment import AutoAugment
from cnn_jax.augment.color import ColorJitter, Jitter
from cnn_jax.augment.crop import RandomCrop
from cnn_jax.augment.erasing import Cutout, RandomErasing
from cnn_jax.augment.flip import AlternatingFlip, Flip
from cnn_jax.augment.mix import CutMix, Mixup
from cnn_jax.augment.policies import RandAugment, TrivialAugment

__all__ = [
    "AlternatingFlip",
    "Augmentation",
    "AutoAugment",
    "ColorJitter",
    "CutMix",
    "Cutout",
    "Flip",
    "Jitter",
    "Mixup",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "TrivialAugment",
]
