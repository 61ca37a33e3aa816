"""Exports a trained net to a folder that runs without this package's models and the recipe.

Imports `runs`, `training`, `report` and the sub-packages before them.
"""

from cnn_jax.export.artifact import Exported, load
from cnn_jax.export.write import export

__all__ = ["Exported", "export", "load"]
