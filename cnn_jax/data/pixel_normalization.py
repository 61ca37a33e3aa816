"""Normalisation of pixels: the same in training, evaluation, prediction and export."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from cnn_jax import ranges
from cnn_jax.errors import UserError

__all__ = ["Normalize"]


@dataclasses.dataclass(frozen=True)
class Normalize:
    """(pixel / 255 - mean) / std for each channel.

    Attributes:
      mean: Mean of each channel, of pixels scaled to 0..1; None: the data's.
      std: Standard deviation of each channel, likewise; None: the data's.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        if self.std is not None:
            ranges.positives(std=self.std)
        ranges.finite(mean=self.mean)

    def resolve(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalize:
        """With the data's statistics where it has none of its own."""
        resolved = Normalize(self.mean or mean, self.std or std)
        for name in ("mean", "std"):
            if len(getattr(resolved, name)) != len(mean):
                raise UserError(
                    f"normalize.{name} must have {len(mean)} values, one a channel, "
                    f"got {getattr(resolved, name)!r}"
                )
        return resolved

    def __call__(self, image: jax.Array) -> jax.Array:
        """[B,H,W,C] from 0 to 255, u8 or f32 -> f32[B,H,W,C]."""
        mean, std = (jnp.array(value, jnp.float32) for value in (self.mean, self.std))
        return (image.astype(jnp.float32) / 255 - mean) / std
