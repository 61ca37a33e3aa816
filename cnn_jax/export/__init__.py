"""A trained net in a folder of its own, which runs without this package's models or the recipe."""

from cnn_jax.export.artifact import Exported, load
from cnn_jax.export.write import export

__all__ = ["Exported", "export", "load"]
