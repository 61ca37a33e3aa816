"""Parameters that training leaves as they are."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import jax
import optax

from cnn_jax.errors import UserError


def frozen(
    rule: optax.GradientTransformation, patterns: Sequence[str]
) -> optax.GradientTransformation:
    """A rule that moves only the parameters whose path fits none of the patterns.

    Args:
      rule: What moves them; it never sees the others.
      patterns: As `fnmatch` has them, of paths such as "BasicBlock_0/Conv_0/kernel": "Conv_0/*",
        "BasicBlock_[01]/*".

    Raises:
      UserError: a pattern that fits no parameter, or patterns that leave none to train; when the
        rule is initialised.
    """

    def labels(params: optax.Params) -> optax.Params:
        names = jax.tree.leaves(_names(params))
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise UserError(
                    f"freeze: {pattern!r} fits no parameter; there are {', '.join(names)}"
                )
        if all(_fits(name, patterns) for name in names):
            raise UserError("freeze: the patterns fit every parameter: nothing is left to train")
        return jax.tree.map(lambda name: "frozen" if _fits(name, patterns) else "", _names(params))

    return optax.partition({"": rule, "frozen": optax.set_to_zero()}, labels)


def held(params: optax.Params, patterns: Sequence[str]) -> optax.Params:
    """The parameters, with no gradient to those whose path fits one of the patterns."""
    return jax.tree.map(
        lambda name, p: jax.lax.stop_gradient(p) if _fits(name, patterns) else p,
        _names(params),
        params,
    )


def _names(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), params
    )


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
