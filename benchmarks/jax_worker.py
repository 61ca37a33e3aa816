"""Times the training step of a recipe, in this process; the last line it prints is JSON.

It takes run.py's flags for the experiment: `--config=cifar10_resnet18 --config.batch_size=64`.
Where the recipe's data can't be had, it is random pictures of 32x32 pixels: the time of a step does
not depend on what the pictures show.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jax
import measure
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnn_jax import config
from cnn_jax.benchmark.timed_step import Training
from cnn_jax.config import Flag
from cnn_jax.config.names import NAMES
from cnn_jax.data import DataConfig, DataUnavailable, Split
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runtime import hardware, host
from cnn_jax.training.state import first_state

PLAIN = {
    "What to time": [
        Flag("config", str, "quickstart", "Recipe: a name in experiments/, or a path to a .py"),
        Flag("data_dir", str | None, None, "Where TFDS data is; default: $TFDS_DATA_DIR"),
        Flag("warm_up", int, 2, "Steps before the clock runs", minimum=1),
        Flag("steps", int, 10, "Steps that are timed, one by one", minimum=1),
    ]
}


def main(argv: list[str]) -> int:
    try:
        command = config.parse(argv, plain=PLAIN, names=NAMES, usage=__doc__ or "")
        if command.args:
            raise UserError(f"unexpected argument {command.args[0]!r}: flags begin with --")
        _time(command.experiment, command.flags)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _time(experiment: Experiment, flags) -> None:
    facts, train = training_data(experiment.data, flags.data_dir)
    plan = Plan.of(experiment, facts)
    begun = time.perf_counter()
    training = Training(plan, train, first_state(plan, train.images))
    program = training.compile()
    compile_seconds = time.perf_counter() - begun
    take = training.steps(program)
    seconds = measure.time_steps(lambda: jax.block_until_ready(take()), flags.warm_up, flags.steps)
    measure.report(
        seconds,
        experiment.batch_size,
        data=facts.name,
        precision=experiment.precision,
        convolutions=experiment.convolutions,
        # XLA's own threads on a CPU: one a core that the process may use.
        threads=host.cores(),
        device=hardware.device_name(),
        versions=hardware.software(),
        git=hardware.git(),
        compile_seconds=compile_seconds,
    )


def training_data(config: DataConfig, data_dir: str | None) -> tuple[DataFacts, Split]:
    """The recipe's training set and its facts; random pictures where it can't be had."""
    try:
        source, _ = config.resolve(data_dir)
        data = source.load(data_dir)
        return DataFacts.of(data), data.train
    except DataUnavailable as error:
        print(f"random pictures, as {error}", file=sys.stderr)
    random = np.random.default_rng(0)
    train = Split(
        random.integers(0, 256, (50_000, 32, 32, 3), np.uint8),
        random.integers(0, 10, 50_000, np.int32),
    )
    facts = DataFacts(
        name="random",
        classes=tuple("0123456789"),
        image_shape=(32, 32, 3),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        train=len(train),
        validation=0,
        test=0,
        fingerprint="",
    )
    return facts, train


if __name__ == "__main__":
    sys.exit(main(sys.argv))
