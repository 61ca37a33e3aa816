"""Times the parts of a training step: the step itself, truncated after each part.

No part of the step is implemented twice. `train_step` is traced with one piece of the plan
replaced, and returns only the output of a part; the compiler removes the rest.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnn_jax.data import Split
from cnn_jax.data.resident import Resident
from cnn_jax.experiment import Plan
from cnn_jax.runtime.jit_parallel import Jit
from cnn_jax.runtime.timing import Timing, measure
from cnn_jax.training.order import draw_order
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import train_step

SCAN_STEPS = 4


class Entrance(nn.Module):
    """A stand-in for the net: stores its input images in a collection that the step returns.

    Attributes:
      num_classes: Number of class scores; all are zero.
    """

    num_classes: int

    @nn.compact
    def __call__(self, image, *, train):
        self.variable("batch_stats", "image", lambda: image).value = image
        return jnp.zeros((image.shape[0], self.num_classes))


def to_images(plan: Plan, *arguments: Any, **ways: Any) -> Any:
    """Gathers, augments and normalises the batch; the arguments are those of `train_step`."""
    plan = dataclasses.replace(plan, model=Entrance(plan.data.num_classes))
    return train_step(plan, *arguments, **ways)[0].batch_stats["image"]


def to_loss(plan: Plan, *arguments: Any, **ways: Any) -> Any:
    """The above and the forward pass: returns the loss and the running averages of norms."""
    state, sums = train_step(plan, *arguments, **ways)
    return sums, state.batch_stats


def to_gradients(plan: Plan, *arguments: Any, **ways: Any) -> Any:
    """The above and the backward pass: returns the gradients of the parameters."""

    def keep(gradients, _, params):
        return jax.tree.map(jnp.zeros_like, params), gradients

    tx = optax.GradientTransformation(lambda params: params, keep)
    return train_step(dataclasses.replace(plan, tx=tx), *arguments, **ways)[0].opt_state


def gradients_in_scan(plan: Plan, state: Any, *constant: Any, **ways: Any) -> Any:
    """Sums the gradients of `SCAN_STEPS` steps in a loop on the device."""

    def body(carry, _):
        state, total = carry
        gradients = to_gradients(plan, state, *constant, **ways)
        return (state.replace(step=state.step + 1), jax.tree.map(jnp.add, total, gradients)), None

    zero = jax.tree.map(jnp.zeros_like, state.params)
    return jax.lax.scan(body, (state, zero), None, length=SCAN_STEPS)[0][1]


class Parts:
    """Times the parts of a plan's step, with the batch split by `jit`.

    Args:
      plan: The plan.
      split: The training set.
      state: A train state, on the host.
      seconds: Time limit per part, in seconds (approximate).
    """

    def __init__(self, plan: Plan, split: Split, state: Any, seconds: float):
        self._plan, self._seconds = plan, seconds
        self._devices = Jit(jax.local_devices())
        keys = streams(plan.experiment.seed)
        order = draw_order(plan, keys.order, jnp.zeros((), jnp.int32), split.labels)
        # Without averages of the weights: the stand-in for the net has other statistics.
        state = state.replace(ema=None)
        self._arguments = self._devices.place((state, Resident.of(split), order, keys))

    def time(self, part: Callable[..., Any], steps: int = 1) -> Timing:
        """Seconds per step of one of the functions above; a call takes this number of steps."""
        program = self._compile(part)
        timing = measure(lambda: program(*self._arguments), self._seconds)
        return Timing(tuple(s / steps for s in timing.samples), timing.calls * steps)

    def time_optimizer(self) -> Timing:
        """Seconds of the optimiser's update, with donated parameters."""
        state = jax.tree.map(jnp.copy, self._arguments[0])
        gradients = self._arguments[0].params  # any values do: they do not affect the time
        weights = state.params, state.opt_state

        def update(weights, gradients):
            params, opt_state = weights
            updates, opt_state = self._plan.tx.update(gradients, opt_state, params)
            params = optax.apply_updates(params, updates)
            # An output to wait for that is not donated to the next call.
            done = jax.tree.leaves(params)[0].ravel()[0]
            return (params, opt_state), done

        jitted = jax.jit(update, donate_argnums=0, out_shardings=self._devices.replicated)
        program = jitted.lower(weights, gradients).compile()

        def call():
            nonlocal weights
            weights, done = program(weights, gradients)
            return done

        return measure(call, self._seconds)

    def _compile(self, part: Callable[..., Any]) -> Any:
        program = self._devices.spread(functools.partial(part, self._plan))
        return jax.jit(program).lower(*self._arguments).compile()
