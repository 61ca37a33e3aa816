"""Trace-time shape and dtype checks for user-defined components; they cost nothing per step.

Without them, broadcasting turns a wrong shape into a number, and the mistake trains silently.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.augment import Augmentation
from cnn_jax.data.batch import Batch
from cnn_jax.errors import UserError
from cnn_jax.runtime.batch_axis import BATCH_AXIS, is_split

_COLLECTIONS = "training keeps the collections params and batch_stats of a model, and no others"
# Explanations for authors of custom models and other components, by the name of the error.
HINTS = {
    "InvalidRngError": "the only random stream in training is 'dropout'",
    "ModifyScopeVariableError": _COLLECTIONS,
    "ScopeCollectionNotFound": _COLLECTIONS,
    "ScopeParamNotFoundError": "parameters are initialised by a call with train=False",
    "TracerBoolConversionError": "a compiled step can't branch on an array: see jnp.where",
}


def check_augmented(augment: Augmentation, given: Batch, result: Any) -> None:
    """Raises UserError if an augmentation does not return a batch of the same size."""
    name = type(augment).__name__
    examples, classes = len(given.index), given.label.shape[1:]
    if not isinstance(result, Batch):
        raise UserError(
            f"augment: {name} must return a Batch (batch.replace(image=...)), got "
            f"{_described(result)}"
        )
    image, depth, dtype = result.image, given.image.shape[-1], given.image.dtype
    whole = image.ndim == 4 and (image.shape[0], image.shape[-1]) == (examples, depth)
    # The mean of two pixels need not be an integer.
    if not whole or not (image.dtype == dtype or (augment.mixes_examples and _is_float(image))):
        raise UserError(
            f"augment: {name} must leave images as {dtype}[{examples},H,W,{depth}] (0 to 255), got "
            f"{_described(image)}"
        )
    if result.label.shape != (examples, *classes):
        raise UserError(
            f"augment: {name} must leave labels of shape {_shape((examples, *classes))}, got "
            f"{_described(result.label)}"
        )


def check_scores(model: object, result: Any, examples: int, classes: int) -> None:
    """Raises UserError if a model does not return one score for each example and class."""
    if not _is_float(result) or result.shape != (examples, classes):
        raise UserError(
            f"model: {type(model).__name__} must return a score for each example and class, "
            f"f32[{examples},{classes}], got {_described(result)}"
        )


def check_norm(
    call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext
) -> Any:
    """Raises UserError if a BatchNorm sees one value of each channel, whose variance is 0.

    An interceptor for `nn.intercept_methods`. It knows Flax's BatchNorm, and others by their name.
    """
    norm: Any = context.module
    named = any(base.__name__ == "BatchNorm" for base in type(norm).__mro__)
    if named and context.method_name == "__call__":
        volume = arguments[0] if arguments else options["x"]
        running = arguments[1] if len(arguments) > 1 else options.get("use_running_average")
        if running is None:
            running = getattr(norm, "use_running_average", False)
        across = getattr(norm, "axis_name", None) and is_split()
        values = volume.size * (jax.lax.axis_size(BATCH_AXIS) if across else 1)
        if not running and values == volume.shape[-1]:
            name = "/".join(norm.path)
            raise UserError(f"model: {name} gets one value of each channel, whose variance is 0")
    return call(*arguments, **options)


def check_losses(loss: object, result: Any, examples: int) -> None:
    """Raises UserError if a loss does not return one number for each example."""
    if not _is_float(result) or result.shape != (examples,):
        raise UserError(
            f"loss: {type(loss).__name__} must return a number for each example, f32[{examples}], "
            f"got {_described(result)}"
        )


def check_state_unchanged(before: Any, after: Any) -> None:
    """Raises UserError if a step changes the shape or the dtype of a leaf of the state.

    Args:
      before: The state before the step, in shapes.
      after: The state after it, in shapes.
    """
    new = dict(jax.tree_util.tree_flatten_with_path(after)[0])
    for path, old in jax.tree_util.tree_flatten_with_path(before)[0]:
        name, one = jax.tree_util.keystr(path, simple=True, separator="/"), new.get(path)
        if one is None or (one.shape, one.dtype) != (old.shape, old.dtype):
            got = "nothing" if one is None else _array(one)
            raise UserError(f"the state's {name} must stay {_array(old)} in a step, got {got}")


def _is_float(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating)


def _described(value: Any) -> str:
    if isinstance(value, jax.Array):
        return _array(value)
    return "nothing (is a return missing?)" if value is None else type(value).__name__


def _array(value: Any) -> str:
    return f"{value.dtype}{_shape(value.shape)}"


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
