"""Groups parameters for optimisers that treat filters, heads and biases differently (airbench)."""

import jax
import optax


def groups(params: optax.Params) -> optax.Params:
    """Returns the group of each parameter, as `optax.partition` takes it.

    "filters" (convolutions), "head" (fully connected layers), "bias" (one dimension, so also the
    scales of norms) or "whitening" (every parameter of the whitening layer).
    """

    def group(path, parameter):
        if any(getattr(entry, "key", "") == "whitening" for entry in path):
            return "whitening"
        return {1: "bias", 4: "filters"}.get(parameter.ndim, "head")

    return jax.tree_util.tree_map_with_path(group, params)
