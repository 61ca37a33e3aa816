"""BatchNorm in training, as a module with Flax's parameters and a fast gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops


class BatchNorm(nn.BatchNorm):
    """`nn.BatchNorm` of a whole batch in training, by `ops.batch_norm`.

    Its name and parameters are those of `nn.BatchNorm`, which takes over in evaluation.
    """

    @nn.compact
    def __call__(  # type: ignore[override]
        self, x: jax.Array, known: ops.Moments | None = None
    ) -> jax.Array:
        depth = x.shape[-1:]
        scale, bias = jnp.ones(depth), jnp.zeros(depth)
        if self.use_scale:
            scale = self.param("scale", self.scale_init, depth, self.param_dtype)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, depth, self.param_dtype)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, depth, jnp.float32)
        running_variance = self.variable("batch_stats", "var", jnp.ones, depth, jnp.float32)
        y, mean, variance = ops.batch_norm(x, scale, bias, self.epsilon, known)
        if not self.is_initializing():
            for running, new in ((running_mean, mean), (running_variance, variance)):
                running.value = self.momentum * running.value + (1 - self.momentum) * new
        return y
