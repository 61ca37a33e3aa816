"""Defines the CIFAR-100 data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cnn_jax.data.downloads import originals
from cnn_jax.data.downloads.source import Original, Source
from cnn_jax.data.published import Published

ARCHIVE = Original(
    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
)
FILES = {"train": ("cifar-100-binary/train.bin",), "test": ("cifar-100-binary/test.bin",)}
CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup",
    "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house",
    "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man",
    "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy",
    "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal",
    "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar",
    "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman",
    "worm",
)  # fmt: skip
COARSE = (
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables",
    "household_electrical_devices", "household_furniture", "insects", "large_carnivores",
    "large_man-made_outdoor_things", "large_natural_outdoor_scenes",
    "large_omnivores_and_herbivores", "medium_mammals", "non-insect_invertebrates", "people",
    "reptiles", "small_mammals", "trees", "vehicles_1", "vehicles_2",
)  # fmt: skip


def _read(paths: Mapping[str, Path], split: str) -> originals.Examples:
    return originals.cifar(paths[ARCHIVE.name], FILES[split], ("coarse_label", "label"))


@dataclass(frozen=True)
class Cifar100(Published):
    """CIFAR-100 (Krizhevsky, 2009): 60,000 colour images of 32x32 pixels in 100 classes.

    The labels are the 100 fine classes. Fields and location are those of `Cifar10`.
    https://www.cs.toronto.edu/~kriz/cifar.html
    """

    source: ClassVar[Source] = Source(
        name="cifar100",
        title="CIFAR-100",
        version="3.0.2",
        sizes={"train": 50000, "test": 10000},
        image_shape=(32, 32, 3),
        classes=CLASSES,
        originals=(ARCHIVE,),
        megabytes=169,
        read=_read,
        names={"coarse_label": COARSE, "label": CLASSES},
        id_digits=5,
    )
