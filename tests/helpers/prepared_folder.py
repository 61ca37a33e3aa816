"""Writes a small data set of images as TFDS prepares one, in array_record."""

from __future__ import annotations

import contextlib
import io

from PIL import Image


def write_prepared(data_dir, data_set, config, images, labels, version="1.1.0"):
    """Writes `NAME/CONFIG/VERSION` below a folder, with a test split of these examples."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    with registered.skip_registration():

        class Builder(tfds.core.GeneratorBasedBuilder):
            name = data_set
            VERSION = tfds.core.Version(version)
            BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)]  # noqa: RUF012

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=images.shape[1:]),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(features)
                )

            def _split_generators(self, dl_manager):
                return {"test": self._generate_examples()}

            def _generate_examples(self):
                for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                    yield number, {"image": Image.fromarray(image), "label": int(label)}

    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder = Builder(data_dir=data_dir, config=config, file_format="array_record")
        builder.download_and_prepare(file_format="array_record")
