"""Four simulated devices, and the small net and data that many tests train."""

from __future__ import annotations

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)
# Steps on simulated devices wait for each other: each needs a thread of its own.
os.environ["PJRT_NPROC"] = "16"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import flax.linen as nn
import jax
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.data import Dataset, Shapes, Split
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.models import layers
from cnn_jax.optim import SGD
from cnn_jax.training.state import TrainState, state_shapes

# Most of a test's time is LLVM's, on a program that then runs once. What processes of their own
# compile is optimised as a user's is.
jax.config.update("jax_disable_most_optimizations", True)


class TinyNet(nn.Module):
    """Convolution, BatchNorm, pooling and scores, in 400 parameters."""

    num_classes: int | None = None

    @nn.compact
    def __call__(self, image, *, train):
        x = layers.Conv(4)(image)
        x = ops.max_pool(nn.gelu(layers.batch_norm(train=train)(x)), 2)
        x = layers.Conv(6, use_bias=False)(x)
        x = nn.gelu(layers.batch_norm(train=train)(x))
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


@pytest.fixture(scope="session", autouse=True)
def compiled_apart(tmp_path_factory):
    """Keeps what the command line compiles out of the user's cache; processes share it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Noise of 10 classes: 70 training images of 8x8x3, and 37 to test on."""
    random = np.random.default_rng(0)

    def split(size):
        images = random.integers(0, 256, (size, 8, 8, 3)).astype(np.uint8)
        return Split(images, random.integers(0, 10, size).astype(np.int32))

    return Dataset(
        name="noise",
        classes=tuple("abcdefghij"),
        train=split(70),
        validation=None,
        test=split(37),
        mean=(0.5, 0.4, 0.6),
        std=(0.3, 0.2, 0.25),
        fingerprint="0",
    )


@pytest.fixture(scope="session")
def plan_of(dataset):
    """A function from an experiment's fields to its plan on the noise: 4 steps an epoch, and 6
    examples left over."""

    def make(**fields) -> Plan:
        defaults = {
            "data": Shapes(),
            "model": TinyNet(),
            "batch_size": 16,
            "epochs": 2,
            "optimizer": SGD(peak_lr=0.1),
        }
        return Plan.of(Experiment(**(defaults | fields)), DataFacts.of(dataset))

    return make


@pytest.fixture(scope="session")
def state_of():
    """A function from a plan to a state before the first step, drawn by NumPy: that compiles
    nothing."""

    def make(plan: Plan, seed: int = 0) -> TrainState:
        random = np.random.default_rng(seed)

        def draw(path, leaf):
            kind = path[-1].key
            if kind == "kernel":
                scale = np.prod(leaf.shape[:-1]) ** -0.5
                return (scale * random.standard_normal(leaf.shape)).astype(np.float32)
            return np.full(leaf.shape, kind in ("scale", "var"), np.float32)

        shapes = state_shapes(plan)
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        return zeros.replace(
            params=jax.tree_util.tree_map_with_path(draw, shapes.params),
            batch_stats=jax.tree_util.tree_map_with_path(draw, shapes.batch_stats),
        )

    return make


@pytest.fixture
def devices(monkeypatch):
    """A function that leaves the program only the first so many of the simulated devices."""
    found = jax.devices()
    if len(found) < 4:
        pytest.skip(f"needs 4 devices, found {len(found)}")

    def only(count: int) -> None:
        for name in ("devices", "local_devices"):
            monkeypatch.setattr(jax, name, lambda *_, **__: found[:count])

    return only
