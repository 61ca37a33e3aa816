"""Stage 2: seconds to 94 % on CIFAR-10, beside the records of others on the same card."""

import functools
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.data.resident import Resident
from cnn_jax.runtime.parallel import parallel
from cnn_jax.setup import Setup
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.order import draw_order
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import INIT_IMAGES, init_state
from stages.nets import command, experiment, setup
from stages.task import Context, Row

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 10
EVAL_BATCH = 2000
# Scripts of the peers, in folders named like their repositories.
PEERS = {
    "cifar10-airbench": "airbench94_muon.py",
    "cifar10-speedrun": "cifar10_speedrun.py",
}
# A peer's last line of a run: | run | eval | train accuracy | accuracy | with TTA | seconds |
FINAL = re.compile(r"\|\s*(?:eval|\d+)\s*\|[^|]*\|[^|]*\|\s*(0\.\d+)\s*\|\s*(\d+\.\d+)\s*\|")


def of(recipe: str) -> Any:
    """The task that trains a recipe under several seeds, by the clock of airbench's authors."""
    return functools.partial(runs, recipe)


def runs(recipe: str, context: Context) -> Iterator[Row]:
    """Yields the seconds and the accuracy of each seed; programs are compiled once, before."""
    precision = "float32" if context.rehearse else "bfloat16"
    prepared = setup(recipe, context, precision=precision)
    begun = time.perf_counter()
    timed = TimedRun(prepared)
    timed(seed=10_000)  # the warm-up run of the peers
    compile_seconds = time.perf_counter() - begun
    for seed in range(2 if context.rehearse else SEEDS):
        name = f"speedrun/{recipe}/{precision}/seed={seed}"
        if name not in context.rows:
            yield name, timed(seed) | {"compile_and_warm_up_seconds": compile_seconds}


class TimedRun:
    """Runs of one experiment under several seeds, by one compiled program each for their parts.

    The clock is that of github.com/KellerJordan/cifar10-airbench: it runs while the whitening layer
    and the weights are initialised, while the steps are taken, and while the test set is scored
    with test-time augmentation. It does not run while programs compile and while the data is copied
    to the device.
    """

    def __init__(self, prepared: Setup):
        self._plan, data = prepared.plan, prepared.data
        self._devices = parallel("jit", self._plan.experiment.batch_size)
        self._train = self._devices.place(Resident.of(data.train))
        self._init = jax.jit(lambda key, images: init_state(self._plan, key, images))
        self._draw = jax.jit(functools.partial(draw_order, self._plan))
        self._step = prepared.lowered_steps.full.compile()
        state = self._init(streams(0).init, self._train.images[:INIT_IMAGES])
        self._evaluate = Evaluator(self._plan, state.variables, data.test, EVAL_BATCH)

    def __call__(self, seed: int) -> dict[str, Any]:
        keys = self._devices.place(streams(seed))
        jax.block_until_ready((self._train, keys))
        begun = time.perf_counter()
        state = self._devices.place(self._init(keys.init, self._train.images[:INIT_IMAGES]))
        plan = self._plan
        for step in range(plan.total_steps):
            if step % plan.steps_per_epoch == 0:
                epoch = step // plan.steps_per_epoch
                order = self._draw(keys.order, epoch, self._train.labels)
                order = self._devices.place(order)
            state, _ = self._step(state, self._train, order, keys, None)
        jax.block_until_ready(state)
        trained = time.perf_counter()
        accuracy = self._evaluate(state.variables).accuracy
        return {
            "run_seconds": time.perf_counter() - begun,
            "train_seconds": trained - begun,
            "test_accuracy": accuracy,
            "steps": plan.total_steps,
        }


def process(context: Context) -> Iterator[Row]:
    """A whole `python run.py`, with an empty compile cache and again with the filled one."""
    cache = context.scratch / f"cache-{time.time():.0f}"
    for kind in ("cold", "warm")[: 1 if context.rehearse else None]:
        name = f"speedrun/process/{kind}"
        folder = context.scratch / f"process-{kind}-{time.time():.0f}"
        flags = f"--workdir={folder}", f"--compile_cache={cache}"
        begun = time.perf_counter()
        subprocess.run(
            command("cifar10_airbench94", context, *flags),
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        yield name, {"process_seconds": time.perf_counter() - begun}


def peers(context: Context) -> Iterator[Row]:
    """The scripts of the peers, unchanged, as their authors run them, for as many runs as ours."""
    if context.peers is None:
        yield "speedrun/peers", {"left_out": "no --peers"}
        return
    for folder, script in PEERS.items():
        name = f"speedrun/{folder}"
        if name in context.rows or not (context.peers / folder / script).exists():
            continue
        place = context.scratch / "peers" / folder
        _data_for_peers(place / "cifar10", context)
        yield name, run_peer(context.torch_python, context.peers / folder / script, place)


def run_peer(python: str, script: Path, place: Path) -> dict[str, Any]:
    """Runs a peer's script until it has reported SEEDS runs, and then stops it."""
    begun = time.perf_counter()
    runs: list[tuple[float, float]] = []
    with subprocess.Popen(
        [python, "-u", str(script.resolve())], cwd=place, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := FINAL.search(line):
                if not runs:  # the first final line is the warm-up's
                    begun_first = time.perf_counter()
                runs.append((float(match[1]), float(match[2])))
            if len(runs) > SEEDS:
                process.send_signal(signal.SIGKILL)
                break
    runs = runs[1:]
    return {
        "test_accuracies": [accuracy for accuracy, _ in runs],
        "run_seconds": [seconds for _, seconds in runs],
        "seconds_to_end_of_warm_up": begun_first - begun if runs else None,
    }


def _data_for_peers(folder: Path, context: Context) -> None:
    """Writes CIFAR-10 in the form in which the peers cache it, so that they download nothing."""
    if (folder / "test.pt").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    data = experiment("cifar10_airbench94", context).data.load(context.data_dir)
    for name, split in (("train", data.train), ("test", data.test)):
        np.savez(folder / f"{name}.npz", images=split.images, labels=split.labels.astype(np.int64))
    script = (
        "import numpy as np, sys, torch\n"
        "for name in ('train', 'test'):\n"
        "    arrays = np.load(f'{sys.argv[1]}/{name}.npz')\n"
        "    data = {key: torch.from_numpy(arrays[key]) for key in ('images', 'labels')}\n"
        "    torch.save(data | {'classes': sys.argv[2:]}, f'{sys.argv[1]}/{name}.pt')\n"
    )
    subprocess.run([context.torch_python, "-c", script, str(folder), *data.classes], check=True)
