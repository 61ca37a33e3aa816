"""Variables for a module that no initialiser has drawn: those take longer to compile than a net."""

from __future__ import annotations

import jax
import numpy as np


def volumes(*shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def filled(module, x, seed: int | None = 0, **options):
    """The variables of a module that takes `x`, its statistics as at the start.

    Kernels have the variance 1 / fan-in; biases and scales lie around a half. Without a seed, all
    parameters are 0.
    """
    made = jax.eval_shape(lambda: module.init(jax.random.key(0), x, **options))
    random = np.random.default_rng(seed)

    def parameter(shape):
        if seed is None:
            return np.zeros(shape.shape, np.float32)
        drawn = random.standard_normal(shape.shape) / np.sqrt(np.prod(shape.shape[:-1]))
        return (drawn + (len(shape.shape) == 1) / 2).astype(np.float32)

    def statistic(path, shape):
        return np.full(shape.shape, path[-1].key == "var", np.float32)

    variables = {"params": jax.tree.map(parameter, made["params"])}
    if "batch_stats" in made:
        stats = jax.tree_util.tree_map_with_path(statistic, made["batch_stats"])
        variables["batch_stats"] = stats
    return variables
