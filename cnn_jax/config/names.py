"""Lists the classes and functions that recipes, flags and config.json may name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cnn_jax import augment, config, data, losses, models, optim
from cnn_jax.data import pixel_normalization
from cnn_jax.experiment import Experiment

# A recipe may also use the classes and functions that its own file defines.
NAMES = MappingProxyType(
    config.public_names(
        models,
        losses,
        augment,
        data,
        optim,
        pixel_normalization,
        {"Experiment": Experiment},
    )
)


def names_of(recipe: config.Recipe | Experiment | None) -> Mapping[str, Any]:
    """Returns the names that a run's config.json may use; `recipe` adds its own names."""
    if isinstance(recipe, Experiment):
        return {**NAMES, **config.classes(recipe)}
    return recipe.names if recipe else NAMES
