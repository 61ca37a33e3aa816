"""The classes that a run's net predicts for its test images, kept beside its summary."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax.storage import files
from cnn_jax.training.evaluator import Evaluation

NAME = "predictions.npz"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for a test set, in its order.

    Attributes:
      labels: i32[N], the true classes.
      predicted: i32[N], the classes with the highest scores.
    """

    labels: np.ndarray
    predicted: np.ndarray


def write(folder: Path, test: Evaluation) -> None:
    """Writes the predictions of an evaluation of the test set."""
    content = io.BytesIO()
    predicted = test.logits.argmax(1).astype(np.int32)
    np.savez_compressed(content, labels=np.asarray(test.labels, np.int32), predicted=predicted)
    files.write_atomically(folder / NAME, content.getvalue())


def read(folder: Path) -> Predictions | None:
    """The predictions in a run's folder; None if there are none, or they are damaged."""
    try:
        with np.load(folder / NAME, allow_pickle=False) as content:
            found = Predictions(content["labels"], content["predicted"])
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return found if found.labels.shape == found.predicted.shape else None
