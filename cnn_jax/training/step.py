"""The training step and the evaluation step, as pure functions.

`jit`, sharding, donation and `pmap` are applied from outside, in runtime/parallel.py.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnn_jax import ops
from cnn_jax.augment.test_time import average_scores
from cnn_jax.data.resident import Resident
from cnn_jax.data.streamed import Streamed
from cnn_jax.errors import UserError, blamed_on
from cnn_jax.experiment import Plan
from cnn_jax.models import layers
from cnn_jax.optim.averages import moving_average
from cnn_jax.optim.freezing import stop_frozen_gradients
from cnn_jax.training import component_checks
from cnn_jax.training.metric_sums import Sums
from cnn_jax.training.random_keys import Streams
from cnn_jax.training.rematerialisation import rematerialised
from cnn_jax.training.state import TrainState

OnDevices = Callable[[Any], Any]


def unchanged(tree: Any) -> Any:
    return tree


def scores(
    plan: Plan, variables: dict[str, Any], image: jax.Array, **options: Any
) -> tuple[jax.Array, dict[str, Any]]:
    """The model's class scores, computed in the experiment's precision.

    Args:
      plan: The run's plan.
      variables: `params` and `batch_stats`, float32. In half precision the model computes with a
        rounded copy of the parameters; statistics and gradients stay float32.
      image: f32[B,H,W,C], normalised.
      **options: Passed to the model's `apply`.

    Returns:
      The scores f32[B,K], and the collections that `mutable` names.

    Raises:
      UserError: the model returns something else.
    """
    params, image = jax.tree.map(
        lambda x: x.astype(plan.experiment.precision), (variables["params"], image)
    )
    with (
        nn.intercept_methods(layers.whole_batch_statistics),
        nn.intercept_methods(layers.biases_in_float32),
    ):
        output: Any = plan.model.apply({**variables, "params": params}, image, **options)
    logits, updates = output if options.get("mutable") else (output, {})
    component_checks.check_scores(plan.model, logits, image.shape[0], plan.data.num_classes)
    return logits.astype(jnp.float32), updates


def train_step(
    plan: Plan,
    state: TrainState,
    data: Resident | Streamed,
    order: jax.Array,
    keys: Streams,
    teacher: Any = None,
    *,
    examples: int | None = None,
    split: OnDevices = unchanged,
    total: OnDevices = unchanged,
) -> tuple[TrainState, Sums]:
    """Takes one training step.

    Args:
      plan: The run's plan.
      state: The state before.
      data: The training set, or this program's part of the step's examples.
      order: i32[N], the order of the current epoch, from `draw_order`.
      keys: The run's random keys.
      teacher: The teacher's variables; None without distillation.
      examples: Size B of the batch, for an epoch's last; default: the experiment's batch size.
      split: Maps the global batch's index i32[B] to this program's part of it.
      total: Maps this program's sums to the sums over all devices.

    Returns:
      The state after the step, and a copy of its metrics that survives the donation of the state.
    """
    if plan.experiment.distill and plan.teacher is None:
        raise UserError("only training restores a teacher: leave it out by --config.distill=None")
    batch_size = plan.experiment.batch_size
    examples = examples or batch_size
    epoch, place = state.step // plan.steps_per_epoch, state.step % plan.steps_per_epoch
    index = split(jax.lax.dynamic_slice_in_dim(order, place * batch_size, examples))
    batch = data.batch(index, epoch)
    if plan.experiment.sampling == "balanced":
        # The index seeds an example's augmentation. A batch may hold an example several times, each
        # to be augmented differently: the place in the epoch takes the index's part.
        place_in_epoch = place * batch_size + jnp.arange(examples)
        batch = dataclasses.replace(batch, index=split(place_in_epoch))
    if plan.experiment.mixes_examples:  # class numbers cannot be mixed, weights of classes can
        label = jax.nn.one_hot(batch.label, plan.data.num_classes)
        batch = dataclasses.replace(batch, label=label)
    key = jax.random.fold_in(keys.augment, state.step)
    for number, augment in enumerate(plan.experiment.augment):
        with blamed_on("augment", component_checks.HINTS, augment):
            augmented = augment(jax.random.fold_in(key, number), batch)
        component_checks.check_augmented(augment, batch, augmented)
        batch = augmented

    def mean_loss(params, batch):
        # The first example's index distinguishes the parts of a batch, by device or in sequence.
        dropout_key = jax.random.fold_in(
            jax.random.fold_in(keys.dropout, state.step), batch.index[0]
        )
        params = stop_frozen_gradients(params, plan.experiment.freeze)
        with rematerialised(plan.model, plan.experiment.remat):
            logits, updates = scores(
                plan,
                {"params": params, "batch_stats": state.batch_stats},
                plan.normalize(batch.image),
                train=True,
                rngs={"dropout": dropout_key},
                mutable=["batch_stats"],
            )
        with blamed_on("loss", component_checks.HINTS, plan.loss):
            losses = plan.loss(logits, batch.label)
        component_checks.check_losses(plan.loss, losses, len(batch.index))
        if plan.experiment.distill and plan.teacher:
            image = plan.teacher.normalize(batch.image)
            taught = scores(plan.teacher, teacher, image, train=False)[0]
            losses = plan.experiment.distill(losses, logits, taught)
        auxiliary = Sums.of(losses, logits, batch), updates.get("batch_stats", {})
        return losses.sum() / examples, auxiliary

    with ops.form(plan.experiment.convolutions):
        gradients, (sums, batch_stats) = plan.experiment.gradient(
            mean_loss, state.params, batch, total
        )
    updates, opt_state = plan.tx.update(total(gradients), state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = jax.tree.map(
        lambda old, new: jnp.where(place == 0, 0, old) + new, state.metrics, total(sums)
    )
    new = {"params": params, "batch_stats": batch_stats}
    state = TrainState(
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        metrics=metrics,
        ema=state.ema and moving_average(state.ema, new, plan.experiment.ema, state.step),
    )
    return state, metrics


def image_scores(plan: Plan, variables: dict[str, Any], image: jax.Array) -> jax.Array:
    """The scores f32[B,K] of images [B,H,W,C], u8 or f32 from 0 to 255, averaged over the views."""
    with ops.form(plan.experiment.convolutions):
        return average_scores(
            lambda view: scores(plan, variables, view, train=False)[0],
            plan.normalize(image),
            plan.experiment.tta,
        )


def eval_step(
    plan: Plan, variables: dict[str, Any], data: Resident | Streamed, index: jax.Array
) -> tuple[Sums, jax.Array]:
    """Evaluates the examples at index i32[B] in all views; an index past the end is padding.

    Returns:
      The metric sums, and the scores f32[B,K].
    """
    batch = data.batch(index, jnp.zeros((), jnp.int32))
    logits = image_scores(plan, variables, batch.image)
    return Sums.of(plan.loss(logits, batch.label), logits, batch), logits
