"""Compiles a training step for a TPU slice that is not there, and predicts what bounds it."""
