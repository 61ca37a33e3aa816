"""The names that an experiment may be written in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cnn_jax import augment, config, data, distillation, losses, models, optim
from cnn_jax.data import pixel_normalization
from cnn_jax.experiment import Experiment

# What the command line and a run's config.json may name, besides what a recipe file defines.
NAMES = MappingProxyType(
    config.public_names(
        models,
        losses,
        distillation,
        augment,
        data,
        optim,
        pixel_normalization,
        {"Experiment": Experiment},
    )
)


def names_of(recipe: config.Recipe | Experiment | None) -> Mapping[str, Any]:
    """What a run's config.json may name where this is said to know its classes."""
    if isinstance(recipe, Experiment):
        return {**NAMES, **config.classes(recipe)}
    return recipe.names if recipe else NAMES
