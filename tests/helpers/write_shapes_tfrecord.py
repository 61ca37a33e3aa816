"""Writes tests/data/shapes_tfrecord with TensorFlow: a small TFDS folder in TFDS's default format.

    pip install tensorflow-cpu tensorflow-datasets importlib-resources pillow psutil rich
    PYTHONPATH=. python tests/helpers/write_shapes_tfrecord.py

in a virtual environment of its own: the package neither needs TensorFlow nor tests with it. Written
by TensorFlow 2.21.0 and TFDS 4.9.10.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow_datasets as tfds

from cnn_jax.data import Shapes

FOLDER = Path(__file__).resolve().parents[1] / "data" / "shapes_tfrecord"
SHAPES = Shapes(train=40, validation=0, test=12)


class ShapesTfrecord(tfds.core.GeneratorBasedBuilder):
    """The images of `Shapes`, with their labels."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(names=SHAPES.load().classes),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        data = SHAPES.load()
        return {"train": self._examples(data.train), "test": self._examples(data.test)}

    def _generate_examples(self):
        raise NotImplementedError

    def _examples(self, split):
        for number, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            yield number, {"image": image, "label": int(label)}


if __name__ == "__main__":
    builder = ShapesTfrecord(data_dir=FOLDER)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=2),
    )
    print(builder.info)
