"""Parts of one's own that give back the wrong thing are told by name, before the first step."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest
from program import one_line

from cnn_jax.augment import Augmentation, CutMix, Flip, Mixup
from cnn_jax.errors import UserError
from cnn_jax.losses import Loss
from cnn_jax.optim import Optimizer
from cnn_jax.runtime.jit_parallel import Jit
from cnn_jax.training.state import state_shapes
from cnn_jax.training.tracing import lowered_step


class Net(nn.Module):
    """What it returns is `wrong` of the right scores."""

    wrong: str = ""

    @nn.compact
    def __call__(self, image, *, train):
        scores = nn.Dense(10)(image.mean(axis=(1, 2)))
        return {
            "": scores,
            "nothing": None,
            "a class": scores.argmax(-1),
            "more classes": nn.Dense(11)(scores),
            "pixels": nn.Dense(10)(image),
        }[self.wrong]


@dataclasses.dataclass(frozen=True)
class OwnLoss(Loss):
    wrong: str = ""
    takes_mixed_labels = False

    def __call__(self, logits, label):
        loss = -jax.nn.log_softmax(logits)[:, 0]
        return {"": loss, "nothing": None, "a column": loss[:, None], "mean": loss.mean()}[
            self.wrong
        ]


@dataclasses.dataclass(frozen=True)
class OwnAugmentation(Augmentation):
    wrong: str = ""

    def __call__(self, key, batch):
        image = batch.image
        return {
            "": batch.replace(image=255 - image),
            "nothing": None,
            "the image": image,
            "floats": batch.replace(image=image / 255),
            "fewer": batch.replace(image=image[1:]),
            "grey": batch.replace(image=image[..., :1]),
            "labels": batch.replace(label=batch.label[:, None]),
            "smaller": batch.replace(image=image[:, 1:, 1:]),
        }[self.wrong]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forgotten(Optimizer):
    def _rule(self, factor, batch_size, total_steps):
        pass


@dataclasses.dataclass(frozen=True, kw_only=True)
class Growing(Optimizer):
    """Its state is of another dtype after a step."""

    def _rule(self, factor, batch_size, total_steps):
        def update(updates, state, params=None):
            return updates, {"count": state["count"] + 0.5}

        return optax.GradientTransformation(lambda params: {"count": jnp.int32(0)}, update)


def trace(plan) -> None:
    """In shapes: nothing is computed."""
    lowered_step(plan, Jit(jax.local_devices()[:1]), state_shapes(plan))


@pytest.mark.parametrize("smaller", ["", "smaller"])
def test_parts_that_keep_to_it_pass(plan_of, smaller):
    """A crop may leave images smaller than those of the test."""
    trace(plan_of(model=Net(), loss=OwnLoss(), augment=(OwnAugmentation(smaller),)))


def test_mixtures_of_pixels_pass(plan_of):
    trace(plan_of(augment=(Flip(), Mixup(), CutMix(), Mixup())))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"model": Net("nothing")}, r"model: Net .* f32\[16,10\], got nothing"),
        ({"model": Net("a class")}, r"model: Net .*, got int32\[16\]"),
        ({"model": Net("more classes")}, r"model: Net .*, got float32\[16,11\]"),
        ({"model": Net("pixels")}, r"model: Net .*, got float32\[16,8,8,10\]"),
        ({"loss": OwnLoss("nothing")}, r"loss: OwnLoss .* f32\[16\], got nothing"),
        ({"loss": OwnLoss("a column")}, r"loss: OwnLoss .*, got float32\[16,1\]"),
        ({"loss": OwnLoss("mean")}, r"loss: OwnLoss .*, got float32\[\]"),
        ({"augment": "nothing"}, r"augment: OwnAugmentation must return a Batch .*, got nothing"),
        ({"augment": "the image"}, r"augment: OwnAugmentation .*, got uint8\[16,8,8,3\]"),
        ({"augment": "floats"}, r"augment: .* uint8\[16,H,W,3\] .*, got float32\[16,8,8,3\]"),
        ({"augment": "fewer"}, r"augment: .*, got uint8\[15,8,8,3\]"),
        ({"augment": "grey"}, r"augment: .*, got uint8\[16,8,8,1\]"),
        ({"augment": "labels"}, r"augment: .* labels of shape \[16\], got int32\[16,1\]"),
        (
            {"optimizer": Growing()},
            r"the state.s opt_state/count .* int32\[\] .*float32\[\]",
        ),
        ({"optimizer": Forgotten()}, "optimizer: Forgotten must build .*, got NoneType"),
    ],
)
def test_what_is_wrong_is_told(plan_of, part, message):
    if isinstance(part.get("augment"), str):
        part = {"augment": (OwnAugmentation(), OwnAugmentation(part["augment"]))}
    with pytest.raises(UserError, match=f"^{message}") as error:
        trace(plan_of(**part))
    assert one_line(str(error.value))
