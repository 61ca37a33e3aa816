"""Defines the MNIST and Fashion-MNIST data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cnn_jax.data.downloads import originals
from cnn_jax.data.downloads.source import Original, Source
from cnn_jax.data.published import Published

SIZES = {"train": 60000, "test": 10000}
IMAGE_SHAPE = (28, 28, 1)
# Images and labels of each split.
FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
MNIST_FOLDER = "https://storage.googleapis.com/cvdf-datasets/mnist"
MNIST_SHA256 = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
FASHION_FOLDER = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FASHION_SHA256 = (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)


def _originals(folder: str, digests: tuple[str, ...]) -> tuple[Original, ...]:
    names = [name for pair in FILES.values() for name in pair]
    return tuple(
        Original(f"{folder}/{name}", sha256) for name, sha256 in zip(names, digests, strict=True)
    )


def _read(paths: Mapping[str, Path], split: str) -> originals.Examples:
    return originals.mnist(*(paths[name] for name in FILES[split]))


@dataclass(frozen=True)
class Mnist(Published):
    """MNIST (LeCun et al., 1998): 70,000 greyscale images of handwritten digits, 28x28 pixels.

    Fields and location are those of `Cifar10`.
    http://yann.lecun.com/exdb/mnist/
    """

    source: ClassVar[Source] = Source(
        name="mnist",
        title="MNIST",
        version="3.0.1",
        sizes=SIZES,
        image_shape=IMAGE_SHAPE,
        classes=tuple("0123456789"),
        originals=_originals(MNIST_FOLDER, MNIST_SHA256),
        megabytes=12,
        read=_read,
        manual="mnist",
    )


@dataclass(frozen=True)
class FashionMnist(Published):
    """Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747): 70,000 greyscale images of 28x28 pixels.

    Clothes, shoes and bags in 10 classes. Fields and location are those of `Cifar10`.
    https://github.com/zalandoresearch/fashion-mnist
    """

    source: ClassVar[Source] = Source(
        name="fashion_mnist",
        title="Fashion-MNIST",
        version="3.0.1",
        sizes=SIZES,
        image_shape=IMAGE_SHAPE,
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        originals=_originals(FASHION_FOLDER, FASHION_SHA256),
        megabytes=31,
        read=_read,
        manual="fashion_mnist",
    )
