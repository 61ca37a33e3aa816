"""Data sets as arrays in memory, behind one interface."""

from cnn_jax.data.cifar10 import Cifar10
from cnn_jax.data.dataset import DataConfig, DataInvalid, Dataset, DataUnavailable, Split
from cnn_jax.data.first_available import FirstAvailable
from cnn_jax.data.shapes import Shapes

__all__ = [
    "Cifar10",
    "DataConfig",
    "DataInvalid",
    "DataUnavailable",
    "Dataset",
    "FirstAvailable",
    "Shapes",
    "Split",
]
