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
        names = jax.tree_util.tree_map_with_path(
            lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), params
        )
        for pattern in patterns:
            if not fnmatch.filter(jax.tree.leaves(names), pattern):
                raise UserError(
                    f"freeze: {pattern!r} fits no parameter; there are "
                    f"{', '.join(jax.tree.leaves(names))}"
                )
        chosen = jax.tree.map(
            lambda name: "frozen" if any(fnmatch.fnmatchcase(name, p) for p in patterns) else "",
            names,
        )
        if all(jax.tree.leaves(chosen)):
            raise UserError("freeze: the patterns fit every parameter: nothing is left to train")
        return chosen

    return optax.partition({"": rule, "frozen": optax.set_to_zero()}, labels)
