"""The parts of a net that the airbench optimisers treat each in its own way."""

from __future__ import annotations

import jax
import optax


def groups(params: optax.Params) -> optax.Params:
    """For each parameter "filters" (of convolutions), "head" (fully connected), "bias" (of one
    dimension: norms' scales too) or "whitening" (all of the whitening layer)."""

    def group(path, parameter):
        if any(getattr(entry, "key", "") == "whitening" for entry in path):
            return "whitening"
        return {1: "bias", 4: "filters"}.get(parameter.ndim, "head")

    return jax.tree_util.tree_map_with_path(group, params)
