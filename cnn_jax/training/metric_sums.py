"""Sums and counts of metrics; divided once at the end, so that ragged batches are exact."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from cnn_jax.data.batch import Batch


@struct.dataclass
class Sums:
    """Sums over examples.

    Attributes:
      loss: f32[], sum of the losses.
      correct: i32[], examples whose highest score is their label; of mixed labels, the larger.
      count: i32[], number of examples without padding.
    """

    loss: jax.Array
    correct: jax.Array
    count: jax.Array

    @classmethod
    def zero(cls) -> Sums:
        return cls(jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    @classmethod
    def of(cls, losses: jax.Array, logits: jax.Array, batch: Batch) -> Sums:
        """The sums of one batch: f32[B], f32[B,K], Batch -> Sums."""
        real = batch.mask > 0
        label = batch.label if batch.label.ndim == 1 else batch.label.argmax(-1)
        return cls(
            loss=jnp.sum(jnp.where(real, losses, 0.0)),
            correct=jnp.sum(real & (logits.argmax(-1) == label), dtype=jnp.int32),
            count=jnp.sum(real, dtype=jnp.int32),
        )

    def __add__(self, other: Sums) -> Sums:
        return jax.tree.map(jnp.add, self, other)

    def means(self) -> dict[str, float]:
        """`{"loss", "accuracy"}` per example, as Python floats; this waits for the device."""
        loss, correct, count = jax.device_get((self.loss, self.correct, self.count))
        return {"loss": float(loss) / int(count), "accuracy": int(correct) / int(count)}
