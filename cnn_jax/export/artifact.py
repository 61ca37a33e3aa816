"""Loads and calls an exported net.

Its folder holds:

- `program.jax_export`: the StableHLO as `jax.export` writes it, (weights, u8[B,H,W,C]) -> f32[B,K];
- `weights.safetensors`: the weights, float32, by path in the net: `params/Conv_0/kernel`;
- `model.json`: the architecture, the classes, the preprocessing, the accuracy, versions;
- `SHA256SUMS`: the digests of these files, for `sha256sum --check`.

Without this package, `jax.export.deserialize(program).call(load_file(weights), images)` does the
same, with `safetensors.numpy.load_file`. Run only programs that you trust: digests detect damage,
not malice.
"""

import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.extend.mlir.dialects import stablehlo

from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.errors import RunFailed, UserError, first_line
from cnn_jax.storage import digests
from cnn_jax.storage.local_paths import local_path

PROGRAM = "program.jax_export"
WEIGHTS = "weights.safetensors"
FACTS = "model.json"
FILES = (PROGRAM, WEIGHTS, FACTS, digests.NAME)
# Incremented when the files change in a way that older code cannot read.
FORMAT = 1


class Exported:
    """An exported net.

    Attributes:
      classes: The classes' names.
      image_shape: Height, width and channels of an image.
      form: The form of the pictures that the net was trained on.
      scores_are_logits: Whether the softmax of the scores gives class probabilities.
      facts: The content of `model.json`.
      program: The `jax.export.Exported` program; `program.call(weights, images)` can be traced.
      weights: The weights by their flat names, on JAX's default device.
    """

    def __init__(
        self, facts: dict[str, Any], program: jax.export.Exported, weights: dict[str, jax.Array]
    ):
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        height, width, channels = facts["input"]["shape"][1:]
        self.image_shape: tuple[int, int, int] = (height, width, channels)
        taken = facts["input"]  # older files lack the last two
        self.form = PictureForm(
            *self.image_shape, taken.get("fit", "crop"), taken.get("decode", "full")
        )
        self.scores_are_logits: bool = facts["output"]["scores_are_logits"]
        self.facts = facts
        self.program = program
        self.weights = weights
        self._call = jax.jit(program.call)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Scores images as decoded from files, without normalisation. Compiles once per batch size.

        Args:
          images: u8[B,H,W,C] of the shape `image_shape`.

        Returns:
          f32[B,K].

        Raises:
          UserError: the images have another dtype or shape.
          RunFailed: the program cannot run on this device or with this JAX.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
            shape = ", ".join(map(str, self.image_shape))
            raise UserError(
                f"the net takes uint8 images of the shape (B, {shape}), "
                f"got {images.dtype} of {images.shape}"
            )
        if not len(images):
            return np.zeros((0, len(self.classes)), np.float32)
        try:
            return np.asarray(self._call(self.weights, images))
        except Exception as error:  # raised by XLA, by its StableHLO reader or by jax.export
            reason = first_line(error)
            raise RunFailed(
                f"the net exported with jax {self.facts['versions']['jax']} does not run with jax "
                f"{jax.__version__} on {jax.default_backend()}: {reason}"
            ) from error


def load(path: str | os.PathLike[str]) -> Exported:
    """Loads a net that `--mode=export` wrote.

    Raises:
      UserError: there is no exported net, or it needs another version of JAX or of this package.
      RunFailed: a file is damaged.
    """
    from safetensors.numpy import load_file

    folder = local_path(path, "model")
    if not (folder / FACTS).is_file():
        if (folder / "config.json").is_file():
            raise UserError(f"{folder} holds a run, not an exported net: --workdir names a run")
        raise UserError(f"no exported net at {folder}: there is no {FACTS}")
    problem = digests.problem(folder, among_others=True)
    if problem:
        raise RunFailed(f"the exported net in {folder} is damaged: {problem}; export it again")
    facts = json.loads((folder / FACTS).read_bytes())
    _check_versions(folder, facts)
    program = jax.export.deserialize(bytearray((folder / PROGRAM).read_bytes()))
    weights = {name: jnp.asarray(array) for name, array in load_file(folder / WEIGHTS).items()}
    return Exported(facts, program, weights)


def _check_versions(folder: Path, facts: dict[str, Any]) -> None:
    """Raises UserError if this package or this JAX cannot read the files.

    JAX would report it only at the first call, in several lines.
    """
    if facts["format"] != FORMAT:
        raise UserError(
            f"{folder} is in format {facts['format']} and this version of cnn_jax reads {FORMAT}"
        )
    for name, key, oldest, newest in (
        (
            "calling convention",
            "calling_convention_version",
            str(jax.export.minimum_supported_calling_convention_version),
            str(jax.export.maximum_supported_calling_convention_version),
        ),
        (
            "StableHLO",
            "stablehlo_version",
            stablehlo.get_minimum_version(),
            stablehlo.get_current_version(),
        ),
    ):
        version = facts[key]
        if not _numbers(oldest) <= _numbers(version) <= _numbers(newest):
            age = "newer" if _numbers(version) > _numbers(newest) else "older"
            raise UserError(
                f"{folder} was exported by jax {facts['versions']['jax']} ({name} {version}), and "
                f"jax {jax.__version__} runs {oldest} to {newest}: it needs {age} JAX, or the run "
                "to be exported again"
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, str(version).split(".")))
