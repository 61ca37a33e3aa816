"""Writes small sets of images as TFDS prepares them, in array_record, without TensorFlow."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from PIL import Image


def write_set(
    data_dir, data_set, splits, classes, shape=None, config="", version="1.0.0", features=None
):
    """Writes `NAME/[CONFIG/]VERSION` below a folder.

    Args:
      data_dir: The folder.
      data_set: Name of the set.
      splits: The examples of each split: pairs of an image u8[H,W,C] and a label.
      classes: The class names.
      shape: What the set says of the images' shape; None: that of the first.
      config: Name of a config; "": none.
      version: The version.
      features: Kind of each feature by name: "Image", "Image16", "ClassLabel" or "Sequence" (of
        labels); None: an image and a label.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    kinds = features or {"image": "Image", "label": "ClassLabel"}
    shape = shape or next(iter(splits.values()))[0][0].shape
    label = tfds.features.ClassLabel(names=list(classes))
    known = {
        "Image": lambda: tfds.features.Image(shape=shape),
        "Image16": lambda: tfds.features.Image(shape=(*shape[:2], 1), dtype=np.uint16),
        "ClassLabel": lambda: label,
        "Sequence": lambda: tfds.features.Sequence(label),
    }
    encode = {
        "Image": lambda image, _: _png(image),
        "Image16": lambda image, _: _png(image[..., :1].astype(np.uint16)),
        "ClassLabel": lambda _, label: int(label),
        "Sequence": lambda _, label: [int(label)],
    }

    with registered.skip_registration():

        class Builder(tfds.core.GeneratorBasedBuilder):
            name = data_set
            VERSION = tfds.core.Version(version)
            BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []

            def _info(self):
                described = {name: known[kind]() for name, kind in kinds.items()}
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(described)
                )

            def _split_generators(self, dl_manager):
                return {name: self._examples(examples) for name, examples in splits.items()}

            def _generate_examples(self):
                raise NotImplementedError

            def _examples(self, examples):
                for number, example in enumerate(examples):
                    yield number, {name: encode[kind](*example) for name, kind in kinds.items()}

    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder = Builder(data_dir=data_dir, config=config or None, file_format="array_record")
        builder.download_and_prepare(file_format="array_record")


def write_prepared(data_dir, data_set, config, images, labels, version="1.1.0"):
    """Writes a set of ten classes with a test split of these examples."""
    examples = {"test": list(zip(images, labels, strict=True))}
    write_set(data_dir, data_set, examples, map(str, range(10)), config=config, version=version)


def _png(image):
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    file.seek(0)
    return file
