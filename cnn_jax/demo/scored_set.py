"""Computes what the page shows of a run's test set: confusions, their images, calibration."""

from typing import Any

import numpy as np

from cnn_jax.analysis import calibration
from cnn_jax.demo.once import Once
from cnn_jax.experiment import Plan
from cnn_jax.report import figure_style
from cnn_jax.report.calibration_figure import build_reliability_diagram
from cnn_jax.report.confused_pairs import most_confused
from cnn_jax.report.confusion_figure import ConfusionPicture, confusion_picture
from cnn_jax.runs.run_calibration import Calibrated, calibrate, temperature_of
from cnn_jax.runs.scored_images import ScoredImages
from cnn_jax.training.evaluator import Evaluation, Evaluator


class ScoredSet:
    """A run's test set, scored as `--mode=evaluate` does, when it is first needed.

    Args:
      plan: The run's plan.
      variables: The net's weights (`TrainState.variables`).
      scored: The run's test images, from `scored_images.of_run`.
    """

    def __init__(self, plan: Plan, variables: Any, scored: ScoredImages):
        self._plan, self._variables, self._scored = plan, variables, scored

    @Once
    def result(self) -> Evaluation:
        """The scores of the test images."""
        return Evaluator(self._plan, self._variables, self._scored.split)(self._variables)

    @Once
    def fitted(self) -> tuple[float | None, str]:
        """The temperature that calibrates the probabilities, and why there is none."""
        return temperature_of(self._plan, self._variables, self._scored)

    @Once
    def calibrated(self) -> Calibrated | None:
        """The calibration of the probabilities; None if the loss gives none."""
        return calibrate(self._plan, self.result, self.fitted)

    @Once
    def values(self) -> np.ndarray:
        """f64[N,K]: probabilities at the fitted temperature; scores if the loss gives none."""
        found = self.calibrated
        if found is None:
            return np.asarray(self.result.logits, np.float64)
        return calibration.softmax(self.result.logits, found.temperature or 1.0)

    @Once
    def confusion(self) -> ConfusionPicture:
        """The confusion matrix, drawn."""
        counts, classes = self.result.confusion(), self._plan.data.classes
        return confusion_picture(counts, classes, self._scored.title)

    @Once
    def reliability(self) -> np.ndarray | None:
        """The reliability diagram, u8[h,w,3]; None if the loss gives no probabilities."""
        found = self.calibrated
        if found is None:
            return None
        return figure_style.picture(build_reliability_diagram, found.panels())

    def first_cell(self) -> tuple[int, int]:
        """True and predicted class of the most frequent confusion; (0, 0) without errors."""
        pairs = most_confused(self.result.confusion())
        return (pairs[0].true, pairs[0].predicted) if pairs else (0, 0)

    def cell(self, true: int, predicted: int) -> np.ndarray:
        """Indices of the test images in a cell of the matrix, most confident first: i[N]."""
        result = self.result
        found = np.flatnonzero((result.labels == true) & (result.logits.argmax(1) == predicted))
        return found[np.argsort(-self.values[found, predicted], kind="stable")]

    def image(self, number: int) -> np.ndarray:
        """A test image, u8[H,W,C]."""
        return np.asarray(self._scored.split.images[number])
