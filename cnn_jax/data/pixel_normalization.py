"""Normalises pixels, identically in training, evaluation, prediction and export."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from cnn_jax.errors import UserError
from cnn_jax.ranges import Checked, Finite, Positive

__all__ = ["Normalize"]


@dataclasses.dataclass(frozen=True)
class Normalize(Checked):
    """(pixel / 255 - mean) / std for each channel.

    Attributes:
      mean: Mean of each channel, pixels scaled to 0..1; None: that of the data set.
      std: Standard deviation of each channel; None: that of the data set.
    """

    mean: tuple[Finite[float], ...] | None = None
    std: tuple[Positive[float], ...] | None = None

    def resolve(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalize:
        """Fills in the statistics of the data set where `mean` or `std` is None."""
        resolved = Normalize(self.mean or mean, self.std or std)
        for name in ("mean", "std"):
            if len(getattr(resolved, name)) != len(mean):
                raise UserError(
                    f"normalize.{name} must have {len(mean)} values, one for each channel, "
                    f"got {getattr(resolved, name)!r}"
                )
        return resolved

    def __call__(self, image: jax.Array) -> jax.Array:
        """Normalises u8 or f32 [B,H,W,C] from 0 to 255 to f32[B,H,W,C]."""
        mean, std = (jnp.array(value, jnp.float32) for value in (self.mean, self.std))
        return (image.astype(jnp.float32) / 255 - mean) / std
