"""Freezes the parameters whose paths match given patterns."""

import difflib
import fnmatch
from collections.abc import Sequence

import jax
import optax

from cnn_jax.errors import UserError, some


def frozen(
    rule: optax.GradientTransformation, patterns: Sequence[str]
) -> optax.GradientTransformation:
    """Returns a transformation that updates only the parameters that no pattern matches.

    Args:
      rule: Transformation of those parameters; it never sees the others.
      patterns: `fnmatch` patterns of parameter paths such as "BasicBlock_0/Conv_0/kernel":
        "Conv_0/*", "BasicBlock_[01]/*".

    Raises:
      UserError: A pattern matches no parameter, or the patterns match all of them. Raised by the
        transformation's `init`.
    """

    def labels(params: optax.Params) -> optax.Params:
        paths = _paths(params)
        names = jax.tree.leaves(paths)
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise UserError(f"freeze: {pattern!r} matches no parameter{_hint(pattern, names)}")
        if all(_matches(name, patterns) for name in names):
            raise UserError("freeze: the patterns match every parameter; leave some to be trained")
        return jax.tree.map(lambda name: "frozen" if _matches(name, patterns) else "", paths)

    return optax.partition({"": rule, "frozen": optax.set_to_zero()}, labels)


def _hint(pattern: str, names: Sequence[str]) -> str:
    """Suggests the pattern that was probably meant, or else lists the net's parts."""
    parts = list(dict.fromkeys(name.partition("/")[0] for name in names))
    part, slash, rest = pattern.partition("/")
    for meant in difflib.get_close_matches(part, parts):
        if fnmatch.filter(names, f"{meant}{slash}{rest}"):
            return f"; did you mean {f'{meant}{slash}{rest}'!r}?"
    return (
        f"; the net's parts are {some(parts, 12)}, and its parameters have names such as {names[0]}"
    )


def stop_frozen_gradients(params: optax.Params, patterns: Sequence[str]) -> optax.Params:
    """Returns the parameters; no gradient flows to those that a pattern matches."""
    return jax.tree.map(
        lambda name, p: jax.lax.stop_gradient(p) if _matches(name, patterns) else p,
        _paths(params),
        params,
    )


def _paths(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), params
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
