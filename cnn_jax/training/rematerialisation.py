"""Rematerialisation: the backward pass recomputes the activations inside each block of a net.

Chen et al. 2016 (arXiv:1604.06174): the forward pass keeps the inputs of the blocks only.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax

from cnn_jax.errors import ConfigError


@contextlib.contextmanager
def rematerialised(model: nn.Module, use: bool = True) -> Iterator[None]:
    """A context in which gradients of `model.apply` recompute what is computed inside its blocks.

    A block is a sub-module with layers of its own, such as a residual block. Parameter trees,
    running statistics and dropout masks are the same as without.

    Args:
      model: The net that is applied, once.
      use: False: the context changes nothing.

    Raises:
      ConfigError: the net has no blocks.
    """
    if not use:
        yield
        return
    blocks = _Blocks()
    with nn.intercept_methods(blocks):
        yield
    if not blocks.found:
        raise ConfigError(
            f"remat=True recomputes the blocks of a net, but {type(model).__name__} has none: set "
            "remat=False, or choose a net whose layers are in sub-modules, such as ResNet18"
        )


class _Blocks:
    """An interceptor for `nn.intercept_methods` that wraps each block's `__call__` in `nn.remat`.

    Attributes:
      found: Whether a block was called.
    """

    def __init__(self) -> None:
        self.found = False
        self._inside = False

    def __call__(
        self,
        call: Callable[..., Any],
        arguments: Any,
        options: Any,
        context: nn.module.InterceptorContext,
    ) -> Any:
        module = context.module
        if self._inside or context.method_name != "__call__" or not _is_block(module):
            return call(*arguments, **options)
        self.found = True
        # Arguments such as `train` steer Python code: only arrays and modules are passed on.
        values, structure = jax.tree.flatten((arguments, options))
        passed = [isinstance(value, jax.Array | nn.Module) for value in values]

        def recomputed(module: Any, *dynamic: Any) -> Any:
            rest = iter(dynamic)
            given = [next(rest) if p else v for p, v in zip(passed, values, strict=True)]
            arguments, options = jax.tree.unflatten(structure, given)
            return type(module).__call__(module, *arguments, **options)

        self._inside = True
        try:
            dynamic = itertools.compress(values, passed)
            return nn.remat(recomputed)(module, *dynamic)
        finally:
            self._inside = False


def _is_block(module: nn.Module) -> bool:
    """Whether a module is to be recomputed as a whole.

    It is a sub-module with layers in it, of which at most one has layers of its own: a residual
    block with squeeze-and-excitation is a block, and a net within a net is not, but its blocks are.
    """
    parts = _sub_modules(module.variables.get("params", {}))
    return bool(module.path and parts) and sum(bool(_sub_modules(part)) for part in parts) < 2


def _sub_modules(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parameters of a module's sub-modules, given its own."""
    return [part for part in params.values() if isinstance(part, Mapping)]
