"""Mode benchmark: how fast a recipe trains and scores here, where the time goes, what it needs."""

from cnn_jax.benchmark.mode import SECONDS, benchmark

__all__ = ["SECONDS", "benchmark"]
