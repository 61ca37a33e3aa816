"""Reads, writes, checks and overrides configs: frozen dataclasses of real objects.

Everything but `names.py` imports only `errors` and `ranges`, and neither JAX nor Flax. `names.py`,
which lists the names that recipes may use, imports the sub-packages that define them.
"""

from cnn_jax.config.check import check
from cnn_jax.config.command import Command, Flag, override, parse
from cnn_jax.config.expression import called, from_text, public_names, to_older_text, to_text
from cnn_jax.config.fields import classes
from cnn_jax.config.help import Row, describe
from cnn_jax.config.load import Recipe, load, recipes
from cnn_jax.config.override import Overridden, diff
from cnn_jax.config.paths import local_paths, with_paths
from cnn_jax.config.pretty import to_pretty, to_recipe
from cnn_jax.errors import ConfigError

__all__ = [
    "Command",
    "ConfigError",
    "Flag",
    "Overridden",
    "Recipe",
    "Row",
    "called",
    "check",
    "classes",
    "describe",
    "diff",
    "from_text",
    "load",
    "local_paths",
    "override",
    "parse",
    "public_names",
    "recipes",
    "to_older_text",
    "to_pretty",
    "to_recipe",
    "to_text",
    "with_paths",
]
