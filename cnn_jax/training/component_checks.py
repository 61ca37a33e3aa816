"""What a part of one's own must give back, checked while the step is traced: it costs no step.

Broadcasting would make a number of almost any shape, so that a mistake trains without a word.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.augment import Augmentation
from cnn_jax.data.batch import Batch
from cnn_jax.errors import UserError


def check_augmented(augment: Augmentation, given: Batch, result: Any) -> None:
    """Raises UserError where what an augmentation has made of a batch is no batch of as many."""
    name = type(augment).__name__
    examples, classes = len(given.index), given.label.shape[1:]
    if not isinstance(result, Batch):
        raise UserError(
            f"augment: {name} must return a Batch (batch.replace(image=...)), got {_told(result)}"
        )
    image, depth, dtype = result.image, given.image.shape[-1], given.image.dtype
    whole = image.ndim == 4 and (image.shape[0], image.shape[-1]) == (examples, depth)
    # A mixture of two pixels is no whole number.
    if not whole or not (image.dtype == dtype or (augment.mixes_examples and _is_float(image))):
        raise UserError(
            f"augment: {name} must leave images as {dtype}[{examples},H,W,{depth}] (0 to 255), got "
            f"{_told(image)}"
        )
    if result.label.shape != (examples, *classes):
        raise UserError(
            f"augment: {name} must leave labels of shape {_shape((examples, *classes))}, got "
            f"{_told(result.label)}"
        )


def check_scores(model: object, result: Any, examples: int, classes: int) -> None:
    """Raises UserError where a net's result is not one score for each class and example."""
    if not _is_float(result) or result.shape != (examples, classes):
        raise UserError(
            f"model: {type(model).__name__} must return a score for each example and class, "
            f"f32[{examples},{classes}], got {_told(result)}"
        )


def check_losses(loss: object, result: Any, examples: int) -> None:
    """Raises UserError where a loss is not one number for each example."""
    if not _is_float(result) or result.shape != (examples,):
        raise UserError(
            f"loss: {type(loss).__name__} must return a number for each example, f32[{examples}], "
            f"got {_told(result)}"
        )


def check_kept(before: Any, after: Any) -> None:
    """Raises UserError where a step changes the shape or the dtype of a part of the state.

    Args:
      before: The state in shapes.
      after: That after a step.
    """
    new = dict(jax.tree_util.tree_flatten_with_path(after)[0])
    for path, old in jax.tree_util.tree_flatten_with_path(before)[0]:
        name, one = jax.tree_util.keystr(path, simple=True, separator="/"), new.get(path)
        if one is None or (one.shape, one.dtype) != (old.shape, old.dtype):
            got = "nothing" if one is None else _array(one)
            raise UserError(f"the state's {name} must stay {_array(old)} in a step, got {got}")


def _is_float(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating)


def _told(value: Any) -> str:
    if isinstance(value, jax.Array):
        return _array(value)
    return "nothing (is a return missing?)" if value is None else type(value).__name__


def _array(value: Any) -> str:
    return f"{value.dtype}{_shape(value.shape)}"


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
