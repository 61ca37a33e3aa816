"""The training images of each step, decoded when they are asked for: a function of seed and step.

Worker processes import this module: it and what it imports are light.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import numpy as np

from cnn_jax.data.pictures.image_files import BadImage
from cnn_jax.data.pictures.streamed_images import StreamedImages, unreadable
from cnn_jax.data.resident import drawn_order
from cnn_jax.training.random_keys import streams


@dataclass(frozen=True, eq=False)
class Orders:
    """Draws the order of each epoch's examples, on the CPU.

    Attributes:
      seed: The run's seed.
      sampling: The experiment's sampling.
      labels: i32[N], those of the training set.
      classes: Number of classes.
      drawn: Number of examples that an epoch's steps use.
    """

    seed: int
    sampling: str
    labels: np.ndarray
    classes: int
    drawn: int

    def __call__(self, epoch: int) -> np.ndarray:
        """i32[N], as `training.order.draw_order` draws it."""
        with _on_cpu():
            order = _drawn_order(
                self.sampling,
                streams(self.seed).order,
                epoch,
                self.labels,
                classes=self.classes,
                drawn=self.drawn,
            )
            return np.asarray(order)


_drawn_order = jax.jit(drawn_order, static_argnames=("sampling", "classes", "drawn"))


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was told to use other platforms alone
        device = None
    with jax.default_device(device):
        yield


@dataclass(frozen=True, eq=False)
class StepImages:
    """The images and labels of every step, by its number from 0; a random-access source for grain.

    Attributes:
      images: The training images.
      orders: The orders of the epochs.
      batch_size: Examples of a step, on all devices of all processes.
      steps_per_epoch: Steps of an epoch.
      total_steps: Steps of the run.
      rows: The examples of a step that this process takes.
      last_rows: The same for an epoch's last step.
    """

    images: StreamedImages
    orders: Orders
    batch_size: int
    steps_per_epoch: int
    total_steps: int
    rows: np.ndarray
    last_rows: np.ndarray
    _kept: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return self.total_steps

    def __repr__(self) -> str:
        return f"StepImages({self.total_steps} steps)"

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_kept": {}}

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns u8[b,H,W,C] and i32[b], those of `rows`.

        Raises:
          DataInvalid: A picture can't be read.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = self.last_rows if place == self.steps_per_epoch - 1 else self.rows
        numbers = self._order(epoch)[place * self.batch_size + rows]
        images = np.empty((len(rows), *self.images.form.shape), np.uint8)
        for number, (row, example) in enumerate(zip(rows.tolist(), numbers.tolist(), strict=True)):
            images[number] = self._read(step, row, example)
        return images, self.orders.labels[numbers]

    def _read(self, step: int, row: int, example: int) -> np.ndarray:
        part = None
        if self.images.crop:
            random = np.random.default_rng((self.orders.seed, step, row))
            part = functools.partial(self.images.crop.draw, random)
        try:
            return self.images.pictures.read(example, self.images.form, part)
        except BadImage as error:
            raise unreadable(error) from error

    def _order(self, epoch: int) -> np.ndarray:
        with _drawing:
            if epoch not in self._kept:
                for other in [old for old in self._kept if old < epoch - 1]:
                    del self._kept[other]
                self._kept[epoch] = self.orders(epoch)
            return self._kept[epoch]


# Threads that come to an epoch at the same time wait for one drawing.
_drawing = threading.Lock()
