"""Gives each step its data on the devices: the whole training set, or the step's examples alone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cnn_jax.data import Dataset
from cnn_jax.data.pictures.streamed_images import StreamedImages
from cnn_jax.data.resident import Resident
from cnn_jax.data.streamed import Streamed
from cnn_jax.experiment import Plan
from cnn_jax.runtime.parallel import Parallel
from cnn_jax.training import stream
from cnn_jax.training.step_images import Orders, StepImages


class Feed:
    """The data of each step.

    Args:
      take: Returns the data of the next step, placed.

    Attributes:
      waited: Seconds for which the training has waited for data since `reset`. Steps that were
        begun before go on meanwhile, so the devices may have waited less.
    """

    def __init__(self, take: Callable[[], Any]):
        self._take, self.waited = take, 0.0

    def __call__(self) -> Any:
        """Returns the data of the next step."""
        begin = time.perf_counter()
        data = self._take()
        self.waited += time.perf_counter() - begin
        return data

    def reset(self) -> float:
        """Returns the seconds waited so far, and begins to count anew."""
        waited, self.waited = self.waited, 0.0
        return waited


@contextlib.contextmanager
def feed(plan: Plan, data: Dataset, devices: Parallel, start: int) -> Iterator[Feed]:
    """A block with the data of the steps from `start` on.

    Raises:
      UserError: grain is not installed, which streamed images need.
    """
    images = data.train.images
    if not isinstance(images, StreamedImages):
        placed = devices.place(Resident.of(data.train))
        yield Feed(lambda: placed)
        return
    source = step_images(plan, images, data.train.labels, devices)
    with stream.opened(source, start) as steps:

        def take() -> Streamed:
            nonlocal start
            size = plan.examples(start + 1) - plan.examples(start)
            start += 1
            own, labels = next(steps)
            return devices.join(Streamed(own, labels, np.ones(len(own), np.float32)), size)

        yield Feed(take)


def step_images(
    plan: Plan, images: StreamedImages, labels: np.ndarray, devices: Parallel
) -> StepImages:
    """The images of each step that the devices of this process take."""
    experiment = plan.experiment
    last = plan.partial_batch or experiment.batch_size
    return StepImages(
        images=images,
        orders=Orders(
            experiment.seed,
            experiment.sampling,
            labels,
            plan.data.num_classes,
            plan.examples_per_epoch,
        ),
        batch_size=experiment.batch_size,
        steps_per_epoch=plan.steps_per_epoch,
        total_steps=plan.total_steps,
        rows=devices.rows(experiment.batch_size),
        last_rows=devices.rows(last),
    )
