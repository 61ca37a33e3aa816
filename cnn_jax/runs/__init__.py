"""A run's folder: identity, lock, checkpoints, logs, summary; and runs restored from it."""

from cnn_jax.runs.restoring import restore, restore_plan

__all__ = ["restore", "restore_plan"]
