"""Computes the attribution maps of `--mode=explain` for a run's net."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.activations import Program
from cnn_jax.analysis.attribution import grad_cam, largest, saliency, smooth_grad
from cnn_jax.experiment import Plan
from cnn_jax.runs.explanations import scores_of
from cnn_jax.training.step import image_scores


class Attributions:
    """Attribution maps of images f32[B,H,W,C] in 0..255 and classes i[B]: each returns f32[B,H,W].

    Saliency and SmoothGrad average over the run's views (`tta`); Grad-CAM uses the image itself. A
    map is compiled by its first call for a batch size.

    Args:
      plan: The run's plan.
      variables: The net's weights (`TrainState.variables`).

    Attributes:
      program: The traced net, whose last volume Grad-CAM shows; no volumes without convolutions.
    """

    def __init__(self, plan: Plan, variables: Any):
        self._plan, self._variables = plan, variables
        apply = scores_of(plan)
        image = jax.ShapeDtypeStruct((1, *plan.data.image_shape), np.float32)
        self.program = Program(apply, variables, image)
        self._gradient = jax.jit(functools.partial(saliency, functools.partial(image_scores, plan)))
        self._grad_cam = jax.jit(functools.partial(grad_cam, apply))

    def saliency(self, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """The largest gradient over the channels."""
        return np.asarray(largest(self._gradient(self._variables, images, classes)))

    def smooth_grad(self, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """SmoothGrad of 50 noisy copies, drawn with the run's seed."""
        smooth = smooth_grad(
            lambda noisy: self._gradient(self._variables, noisy, classes),
            jnp.asarray(images),
            jax.random.key(self._plan.experiment.seed),
        )
        return np.asarray(largest(smooth))

    def grad_cam(self, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Grad-CAM of the last volume. Raises ValueError if the net has no convolution."""
        return np.asarray(self._grad_cam(self._variables, images, classes))
