"""A run's workdir: identity, lock, checkpoints, metrics and summary; restores runs from it.

Imports `training`, `report` and the sub-packages before them.
"""

from cnn_jax.runs.trained_run import restore, restore_plan

__all__ = ["restore", "restore_plan"]
