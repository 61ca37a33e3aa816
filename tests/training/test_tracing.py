"""The step traced before a run begins: what fails in parts of one's own is told by its place."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from program import one_line

from cnn_jax import cli
from cnn_jax.augment import Augmentation
from cnn_jax.errors import UserError
from cnn_jax.losses import Loss
from cnn_jax.optim import Accumulate
from cnn_jax.runtime.jit_parallel import Jit
from cnn_jax.runtime.parallel import parallel
from cnn_jax.training.state import state_shapes
from cnn_jax.training.tracing import lowered_step


class Net(nn.Module):
    """A net that does what `how` says besides, and first so in training."""

    how: str = ""

    @nn.compact
    def __call__(self, image, *, train):
        if train and self.how == "noise":
            image += jax.random.normal(self.make_rng("noise"), image.shape)  # here: noise
        if self.how == "collection":
            kept = self.variable("kept", "mean", jnp.zeros, (3,))  # here: collection
            if train:
                kept.value += image.mean(axis=(0, 1, 2))
        if train and self.how == "head":
            nn.Dense(3, name="other")(image)  # here: head
        if self.how == "axis":
            image = nn.BatchNorm(not train, axis_name="batch")(image)  # here: axis
        if self.how == "bug" and not self.is_initializing():
            image @ jnp.ones((7, 7))  # here: bug
        return nn.Dense(10)(image.mean(axis=(1, 2)))


@dataclasses.dataclass(frozen=True)
class OwnLoss(Loss):
    def __call__(self, logits, label):
        return logits.no_such_thing(label)  # here: loss


@dataclasses.dataclass(frozen=True)
class OwnAugmentation(Augmentation):
    def __call__(self, key, batch):
        if batch.image.mean() > 7:  # here: augmentation
            return batch
        return batch


def line_of(mark: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"  # here: {mark}"))


@pytest.mark.parametrize(
    ("mark", "fields", "message"),
    [
        ("noise", {"model": Net("noise")}, "InvalidRngError: .* 'dropout'"),
        ("collection", {"model": Net("collection")}, "ScopeCollection.*: .* batch_stats"),
        ("head", {"model": Net("head")}, "ScopeParamNotFoundError: .* train=False"),
        ("axis", {"model": Net("axis")}, "NameError: .*batch"),
        ("bug", {"model": Net("bug")}, "TypeError: "),
        ("loss", {"loss": OwnLoss()}, "AttributeError: .*no_such_thing"),
        ("augmentation", {"augment": (OwnAugmentation(),)}, "TracerBool.*: .* jnp.where"),
    ],
)
def test_a_part_of_one_s_own_that_fails_is_told_by_its_place(plan_of, mark, fields, message):
    plan = plan_of(**fields)
    with pytest.raises(UserError) as caught:
        lowered_step(plan, Jit(jax.local_devices()[:1]), state_shapes(plan))
    said = str(caught.value)
    assert one_line(said)
    assert re.search(f"fails at {re.escape(__file__)}:{line_of(mark)}: {message}", said), said


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_parts_of_a_batch_must_divide_each_device_s_share(plan_of, devices, kind):
    """16 examples on two devices are 8 each: 16 parts divide the batch, and not a share."""
    devices(2)
    plan = plan_of(gradient=Accumulate(16))
    lowered_step(plan_of(gradient=Accumulate(8)), parallel(kind, 16), state_shapes(plan))
    with pytest.raises(UserError, match="must divide the 8 examples"):
        lowered_step(plan, parallel(kind, 16), state_shapes(plan))


RECIPE = '''"""A net whose training fails."""
import flax.linen as nn
from cnn_jax.data import Shapes
from cnn_jax.experiment import Experiment


class Mine(nn.Module):
    deep: bool = False

    @nn.compact
    def __call__(self, image, *, train):
        x = image.mean(axis=(1, 2))
        if train and self.deep:
            x = nn.Dense(3)(x)
        return nn.Dense(10)(x)


experiment = Experiment(data=Shapes(train=64, validation=0, test=10), model=Mine(), epochs=1)
'''


def test_nothing_is_made_for_a_run_that_cannot_take_a_step(tmp_path, capsys):
    recipe = tmp_path / "mine.py"
    recipe.write_text(RECIPE)
    line = 1 + RECIPE.splitlines().index("            x = nn.Dense(3)(x)")
    arguments = ["run.py", f"--config={recipe}", "--config.batch_size=32"]
    made = tmp_path / "out"
    deep = "--config.model.deep=True"
    for more in ([deep, f"--workdir={made}"], [deep, "--dry_run"]):
        assert cli.main([*arguments, *more]) == 2
        said = capsys.readouterr().err.strip()
        assert one_line(said.splitlines()[-1]) and f"{recipe}:{line}: " in said
    sweep = ["--mode=sweep", "--sweep=model.deep=False,True", f"--workdir={made}"]
    assert cli.main([*arguments, *sweep]) == 2  # before the first of the two has begun
    assert f"{recipe}:{line}: " in capsys.readouterr().err
    assert not made.exists()
