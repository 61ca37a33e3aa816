"""Measures the calibration of a run's probabilities, and fits its softmax temperature."""

import dataclasses
from typing import Any

from cnn_jax.analysis import calibration
from cnn_jax.analysis.calibration import Reliability
from cnn_jax.experiment import Plan
from cnn_jax.runs.scored_images import ScoredImages
from cnn_jax.training.evaluator import Evaluation, Evaluator


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """The calibration of the test probabilities, before and after temperature scaling.

    Attributes:
      before: Reliability of the model's probabilities.
      loss: Their negative log-likelihood.
      temperature: Fitted on validation images; None without one.
      after: Reliability of the probabilities at that temperature; None without one.
      loss_after: Their negative log-likelihood; None without a temperature.
      no_temperature: Why there is no temperature; "" if there is one.
    """

    before: Reliability
    loss: float
    temperature: float | None = None
    after: Reliability | None = None
    loss_after: float | None = None
    no_temperature: str = ""

    def panels(self) -> dict[str, Reliability]:
        """The panels of the reliability diagram, by title."""
        panels = {"As trained": self.before}
        if self.after:
            panels[f"At temperature {self.temperature:.3g}"] = self.after
        return panels

    def as_json(self) -> dict[str, Any]:
        """The calibration in evaluation.json."""
        bins = {
            "edges": self.before.edges,
            "examples": self.before.counts,
            "confidence": self.before.confidence,
            "accuracy": self.before.accuracy,
        }
        return {
            "ece": self.before.ece,
            "negative_log_likelihood": self.loss,
            "temperature": self.temperature,
            "temperature_fitted_on": "validation" if self.after else None,
            "ece_scaled": self.after.ece if self.after else None,
            "negative_log_likelihood_scaled": self.loss_after,
            "bins": bins,
        }


def calibrate(plan: Plan, test: Evaluation, fitted: tuple[float | None, str]) -> Calibrated | None:
    """Measures the calibration on test images.

    Args:
      plan: The run's plan.
      test: The evaluation of the test images.
      fitted: What `temperature_of` returns.

    Returns:
      None if the loss gives no probabilities.
    """
    if not plan.experiment.loss.scores_are_logits:
        return None
    before = calibration.reliability(calibration.softmax(test.logits), test.labels)
    loss = calibration.negative_log_likelihood(test.logits, test.labels)
    temperature, reason = fitted
    if temperature is None:
        return Calibrated(before, loss, no_temperature=reason)
    scaled = calibration.softmax(test.logits, temperature)
    after = calibration.reliability(scaled, test.labels)
    loss_after = calibration.negative_log_likelihood(test.logits, test.labels, temperature)
    return Calibrated(before, loss, temperature, after, loss_after)


def temperature_of(
    plan: Plan, variables: Any, scored: ScoredImages, batch_size: int | None = None
) -> tuple[float | None, str]:
    """The softmax temperature fitted on the run's validation images, and why there is none.

    Args:
      plan: The run's plan.
      variables: The net's weights (`TrainState.variables`).
      scored: The test images, and the run's validation images.
      batch_size: Examples in a step; None: as `Evaluator`.
    """
    if not plan.experiment.loss.scores_are_logits:
        return None, "the loss gives no probabilities"
    if scored.validation is None:
        return None, scored.no_temperature
    chosen = Evaluator(plan, variables, scored.validation, batch_size)(variables)
    temperature = calibration.fit_temperature(chosen.logits, chosen.labels)
    if temperature is None:
        images = f"the {len(scored.validation):,} validation images"
        right = chosen.accuracy == 1
        return None, f"all of {images} are right" if right else f"on {images} chance does as well"
    return temperature, ""
