"""Makes any optimiser of optax or optax.contrib a part of a recipe."""

import dataclasses
import difflib
import functools
import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from cnn_jax.optim.optimizer import Decay, Optimizer, decay_mask

# Arguments that `Optax` passes itself, and the fields that decide them.
_MASKS = ("mask", "weight_decay_mask")
_RESERVED = {"learning_rate": "peak_lr and the schedule"} | dict.fromkeys(_MASKS, "decay")
# One parameter of each kind: the trial step computes shapes only, so their size costs nothing.
_TRIAL_PARAMS = {
    "Conv_0": {"kernel": jax.ShapeDtypeStruct((3, 3, 2, 4), jnp.float32)},
    "Dense_0": {
        "kernel": jax.ShapeDtypeStruct((4, 3), jnp.float32),
        "bias": jax.ShapeDtypeStruct((3,), jnp.float32),
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optax(Optimizer):
    """Any optimiser of optax or optax.contrib: `Optax("adafactor", peak_lr=0.01)`.

    Its updates may depend on gradients, parameters and its own state only. The constructor takes a
    trial step without computing it, so that a wrong name, keyword or value is an error when the
    recipe loads.

    Attributes:
      name: Name of a function that takes a `learning_rate`, such as "adafactor" or "prodigy".
      peak_lr: Learning rate at the schedule's highest point; it has no default, because optimisers
        differ by orders of magnitude.
      kwargs: Other arguments of the function, as pairs: `(("momentum", 0.9), ("factored", False))`.
      decay: Parameters that weight decay shrinks: "all", or only "kernels" (no biases, no norms).
    """

    name: str = dataclasses.field(kw_only=False)
    peak_lr: float = dataclasses.field()
    kwargs: tuple[tuple[str, Any], ...] = ()
    decay: Decay = "all"

    def __post_init__(self):
        super().__post_init__()
        if self.name not in _functions():
            wanted = "an optax optimiser that takes a learning_rate"
            raise ValueError(_expected("name", wanted, self.name, _functions()))
        self._check_arguments()
        try:
            _, state = jax.eval_shape(self._trial_step, _TRIAL_PARAMS)
        except Exception as error:  # optax raises errors of any type
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"name: {self.name} can't take a step from gradients, parameters, a learning-rate "
                f"schedule and kwargs={self.kwargs}: {type(error).__name__}: {reason}"
            ) from error
        if any(jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended) for x in jax.tree.leaves(state)):
            raise ValueError(f"name: {self.name} keeps a random key, which checkpoints can't hold")
        if "ScheduleFreeState" in str(jax.tree.structure(state)):
            raise ValueError(
                f"name: {self.name} evaluates other weights than it trains; use ScheduleFreeSGD or "
                "ScheduleFreeAdamW instead"
            )

    def _check_arguments(self) -> None:
        accepted = inspect.signature(_functions()[self.name]).parameters
        if self.decay != "all" and not accepted.keys() & set(_MASKS):
            raise ValueError(f"decay must be 'all', since {self.name} takes no mask")
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in self.kwargs):
            raise ValueError(f'kwargs must be pairs such as (("b1", 0.9),), got {self.kwargs}')
        if len(dict(self.kwargs)) < len(self.kwargs):
            raise ValueError(f"kwargs must give each argument once, got {self.kwargs}")
        for keyword in dict(self.kwargs):
            if keyword in _RESERVED:
                raise ValueError(f"kwargs: {keyword} is set by {_RESERVED[keyword]}")
            if keyword not in accepted:
                choices = accepted.keys() - _RESERVED
                raise ValueError(_expected("kwargs", f"arguments of {self.name}", keyword, choices))

    def _rule(self, factor, batch_size, total_steps):
        function, arguments = _functions()[self.name], dict(self.kwargs)
        if self.decay != "all":
            masks = inspect.signature(function).parameters.keys() & set(_MASKS)
            arguments |= dict.fromkeys(masks, decay_mask(self.decay))
        return function(learning_rate=self.learning_rate(factor, batch_size), **arguments)

    def _trial_step(self, params: optax.Params) -> tuple[optax.Updates, optax.OptState]:
        tx = self._rule(lambda step: jnp.ones_like(step, jnp.float32), 1, 1)
        return tx.update(params, tx.init(params), params)


@functools.cache
def _functions() -> dict[str, Callable[..., optax.GradientTransformation]]:
    """Returns the functions of optax and optax.contrib that take a learning rate, by name."""
    return {
        name: value
        for name, value in (vars(contrib) | vars(optax)).items()
        # nadamw and others are partial; a type alias is callable too, and has no signature.
        if isinstance(value, types.FunctionType | functools.partial) and not name.startswith("_")
        if "learning_rate" in inspect.signature(value).parameters
    }


def _expected(field: str, wanted: str, found: object, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(found), choices, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(sorted(choices))}."
    return f"{field} must be {wanted}, got {found!r}. {hint}"
