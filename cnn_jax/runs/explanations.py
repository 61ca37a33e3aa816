"""Computes what the figures of `--mode=explain` show of a run's net."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from cnn_jax.analysis.activations import Apply, Program, overview
from cnn_jax.experiment import Plan
from cnn_jax.report import explanation_figures
from cnn_jax.report.explanation_figures import Explained
from cnn_jax.training.step import scores

TOP = 5  # classes listed beside the activations


def scores_of(plan: Plan) -> Apply:
    """The net's scores of images f32[B,H,W,C] as they are, without the run's views (`tta`)."""

    def apply(variables: Any, images: jax.Array) -> jax.Array:
        return scores(plan, variables, plan.normalize(images), train=False)[0]

    return apply


def explain_one(
    plan: Plan, name: str, image: np.ndarray, label: int | None, scored: np.ndarray
) -> Explained:
    """A prediction for figures.

    Args:
      plan: The run's plan.
      name: Name of the image.
      image: u8[H,W,C].
      label: Its class; None if unknown.
      scored: f32[K], its scores.
    """
    if plan.experiment.loss.scores_are_logits:
        measure, form, values = "probability", "{} {:.1%}", np.asarray(jax.nn.softmax(scored))
    else:
        measure, form, values = "score", "{} {:.2f}", scored
    names = plan.data.classes
    best = np.argsort(-scored, kind="stable")[:TOP].tolist()
    return Explained(
        image=image,
        name=name,
        predicted=form.format(names[best[0]], values[best[0]]),
        truth="" if label is None else form.format(names[label], values[label]),
        correct=label == best[0],
        best=tuple((names[number], float(values[number])) for number in best),
        measure=measure,
    )


Named = list[tuple[str, np.ndarray]]


def activations_of(program: Program) -> Callable[[Any, np.ndarray], Named]:
    """A function of the variables and an image f32[1,H,W,C], compiled by its first call.

    It returns the names and the values f32[H,W,C] of the volumes that activations.png shows.
    """
    shown = overview(program.volumes, explanation_figures.MOST_VOLUMES)
    names = [str(program.volumes[number]) for number in shown]
    compute = jax.jit(lambda *given: [program.activations(*given)[number] for number in shown])

    def named(variables: Any, image: np.ndarray) -> Named:
        volumes = [np.asarray(volume[0], np.float32) for volume in compute(variables, image)]
        return list(zip(names, volumes, strict=True))

    return named
