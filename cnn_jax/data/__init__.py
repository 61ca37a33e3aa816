"""Data sets behind one protocol (`DataConfig`), in memory or streamed.

Imports only `errors`, `ranges`, `storage`, `runtime` and `terminal`.
"""

from cnn_jax.data.absent import Absent
from cnn_jax.data.cifar10 import Cifar10
from cnn_jax.data.cifar100 import Cifar100
from cnn_jax.data.dataset import DataConfig, DataInvalid, Dataset, DataUnavailable, Split
from cnn_jax.data.first_available import FirstAvailable
from cnn_jax.data.mnist import FashionMnist, Mnist
from cnn_jax.data.pictures.folder import Folder
from cnn_jax.data.pictures.random_resized_crop import RandomResizedCrop
from cnn_jax.data.shapes import Shapes
from cnn_jax.data.svhn import Svhn
from cnn_jax.data.tfds.tfds_set import Tfds

__all__ = [
    "Absent",
    "Cifar10",
    "Cifar100",
    "DataConfig",
    "DataInvalid",
    "DataUnavailable",
    "Dataset",
    "FashionMnist",
    "FirstAvailable",
    "Folder",
    "Mnist",
    "RandomResizedCrop",
    "Shapes",
    "Split",
    "Svhn",
    "Tfds",
]
