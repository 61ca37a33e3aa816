"""Scores images with a run's net; `export/` does the same with an exported net."""

import functools
import os
from typing import Protocol

import jax
import numpy as np

from cnn_jax import config
from cnn_jax.data import Folder
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.experiment import Plan
from cnn_jax.runs.trained_run import trained_state
from cnn_jax.runs.workdir import Run
from cnn_jax.training.step import image_scores


class Scorer(Protocol):
    """A trained net and the facts needed to use it.

    Attributes:
      classes: The classes' names.
      image_shape: Height, width and channels of an image.
      form: The form of the pictures that it was trained on.
      scores_are_logits: Whether the softmax of the scores gives class probabilities.
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    form: PictureForm
    scores_are_logits: bool

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """u8[B,H,W,C] -> f32[B,K]; compiles once per batch size."""


def picture_form(plan: Plan) -> PictureForm:
    """The form of the pictures that a run's net was trained on."""
    data = plan.experiment.data
    return data.form if isinstance(data, Folder) else PictureForm(*plan.data.image_shape)


class RunScorer:
    """A run's net, with the weights of the run's result.

    Args:
      workdir: The run's folder.
      recipe: The recipe that defines the run's custom classes.

    Attributes:
      plan: The run's plan.
      variables: The net's weights (`TrainState.variables`).

    Raises:
      UserError: there is no run, or it needs its recipe.
      CheckpointError: there is no checkpoint, or it is damaged.
    """

    def __init__(self, workdir: str | os.PathLike[str], recipe: config.Recipe | None = None):
        run = Run(workdir)
        plan = run.plan(recipe)
        self.plan = plan
        self.classes = plan.data.classes
        self.image_shape = plan.data.image_shape
        self.form = picture_form(plan)
        self.scores_are_logits = plan.experiment.loss.scores_are_logits
        self.variables = trained_state(run, plan).variables
        self._step = jax.jit(functools.partial(image_scores, plan))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """u8[B,H,W,C] -> f32[B,K]; compiles once per batch size."""
        return np.asarray(self._step(self.variables, images))
