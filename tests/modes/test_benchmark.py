"""The benchmark: what it writes and shows, and that its parts are those of the training step."""

from __future__ import annotations

import contextlib
import functools
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from program import one_line

from cnn_jax import cli, config
from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.benchmark import parts
from cnn_jax.benchmark.compiling import compile_twice
from cnn_jax.benchmark.machine import peak_memory
from cnn_jax.config.names import NAMES
from cnn_jax.data import Shapes
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP
from cnn_jax.modes.benchmark import benchmark
from cnn_jax.optim import SGD
from cnn_jax.results.writing import write_benchmark
from cnn_jax.runtime.timing import measure
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import train_step

RECIPE = '''
"""A regular network on the first data that can be had."""
import dataclasses
from cnn_jax.data import DataUnavailable, FirstAvailable, Shapes
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP
from cnn_jax.optim import SGD


@dataclasses.dataclass(frozen=True)
class Photos:
    """Data that is nowhere."""

    def resolve(self, data_dir=None):
        raise DataUnavailable("no photos here")

    def load(self, data_dir=None):
        raise DataUnavailable("no photos here")


experiment = Experiment(
    data=FirstAvailable((Photos(), Shapes(train=128, validation=0, test=40))),
    model=MLP(hidden=(8,)), optimizer=SGD(peak_lr=0.05), batch_size=32, epochs=1,
)
'''
# DESIGN's keys, and what stands behind them.
NUMBERS = (
    "train_images_per_second",
    "eval_images_per_second",
    "train_step_ms_p50",
    "train_step_ms_p90",
    "compile_seconds_cold",
    "compile_seconds_warm",
    "peak_memory_bytes",
    "forward_flops_per_image",
    "train_flops_per_image",
    "train_flops_per_image_compiler",
    "train_tflops_per_second",
    "matmul_tflops_per_second",
    "utilisation",
    "save_blocking_seconds",
    "save_seconds",
    "save_share_of_epoch",
)


def call(*arguments: str) -> int:
    return cli.main(["run.py", "--mode=benchmark", *arguments])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What a benchmark with every option prints, and the folder that it leaves."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "mine.py").write_text(RECIPE)
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
        code = call(
            f"--config={folder}/mine.py",
            f"--workdir={folder}/run",
            "--seconds=0.05",
            "--batch_sizes=16,32",
            "--profile",
        )
    assert code == 0
    return printed.getvalue(), folder / "run"


@pytest.fixture(scope="module")
def result(measured):
    return json.loads((measured[1] / "benchmark.json").read_text())


def test_benchmark_json_says_what_was_measured(result):
    assert result["recipe"] == "mine" and result["model"] == "MLP(hidden=(8,))"
    assert result["dataset"] == "shapes" and result["precision"] == "float32"
    assert result["batch_size"] == 32 and result["eval_batch_size"] == 40
    assert result["device"] and result["devices"] == 1 and result["software"]["jax"]
    assert result["peak_memory_of"] == "process"
    assert result["parameters"] == 3072 * 8 + 8 + 8 * 10 + 10


def test_measures_are_positive_numbers_that_fit_together(result):
    for key in NUMBERS:
        assert isinstance(result[key], int | float) and result[key] > 0, key
    assert result["train_step_ms_p50"] <= result["train_step_ms_p90"]
    seconds = 1e-3 * result["train_step_ms_p50"]
    assert result["train_images_per_second"] == pytest.approx(32 / seconds)
    reached = result["train_flops_per_image"] * result["train_images_per_second"] / 1e12
    assert result["train_tflops_per_second"] == pytest.approx(reached)
    assert result["utilisation"] == pytest.approx(reached / result["matmul_tflops_per_second"])


def test_saving_takes_no_less_than_training_waits_for_it_and_leaves_nothing(result, measured):
    assert result["save_blocking_seconds"] <= result["save_seconds"]
    epoch = result["epochs"][0]["epoch_seconds"]
    assert result["save_share_of_epoch"] == pytest.approx(result["save_seconds"] / epoch)
    left = {path.name for path in measured[1].iterdir()}
    files = {".lock", "benchmark.json", "config.json", "figures", "manifest.json", "profile"}
    assert left == files


def test_flops_by_formula_are_those_counted_by_hand(result):
    assert result["forward_flops_per_image"] == 2 * (3072 * 8 + 8 * 10)
    assert result["train_flops_per_image"] == 6 * (3072 * 8 + 8 * 10)


def test_parts_of_the_step_are_there(result):
    rows = {row["part"]: row for row in result["parts"]}
    assert [name for name, row in rows.items() if row["of_step"]] == [
        "data and augment",
        "forward",
        "backward",
        "optimizer",
    ]
    assert [name for name, row in rows.items() if not row["of_step"]] == [
        "gradient",
        "gradient in lax.scan",
    ]
    added = sum(rows[name]["seconds"] for name in ("data and augment", "forward", "backward"))
    assert added == pytest.approx(rows["gradient"]["seconds"])
    assert all(row["measured"] for row in rows.values())


def test_epochs_on_more_data_have_more_steps(result):
    assert [row["data"] for row in result["epochs"]] == [1, 2, 4]
    assert [row["examples"] for row in result["epochs"]] == [128, 256, 512]
    assert [row["steps"] for row in result["epochs"]] == [4, 8, 16]
    for row in result["epochs"]:
        whole = row["steps"] * row["step_seconds"] + row["order_seconds"]
        assert row["epoch_seconds"] == pytest.approx(whole)


def test_batch_sizes_stand_in_order_with_the_recipe_s_own(result):
    assert [row["batch_size"] for row in result["batch_sizes"]] == [16, 32]
    own = result["batch_sizes"][1]
    assert own["train_step_ms_p50"] == result["train_step_ms_p50"]


def test_terminal_names_the_data_and_shows_the_measures(measured):
    printed = measured[0]
    assert "no photos here" in printed and "MLP(hidden=(8,)) on shapes" in printed
    for words in ("training, images/s", "inference", "peak memory", "from the cache", "batch size"):
        assert words in printed
    for words in ("data and augment", "backward", "gradient in lax.scan", "4x"):
        assert words in printed
    assert "utilisation" in printed and "%" in printed


def test_figure_and_trace_are_written(measured):
    with Image.open(measured[1] / "figures" / "benchmark.png") as picture:
        assert picture.width == 1050
        assert np.asarray(picture.convert("L")).std() > 10
    assert list((measured[1] / "profile").rglob("*.xplane.pb"))


@pytest.fixture
def taken(plan_of, state_of, dataset):
    """A plan whose update is the gradient itself, and the arguments of its second step."""
    plan = plan_of(augment=(RandomCrop(1), Flip()), optimizer=SGD(peak_lr=1.0, momentum=0.0))
    keys = streams(0)
    order = epoch_order(keys.order, jnp.zeros((), jnp.int32), len(dataset.train))
    state = state_of(plan).replace(step=jnp.ones((), jnp.int32))
    return plan, (state, Resident.of(dataset.train), order, keys)


def close(one, other, **tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 1e-4, "atol": 1e-5} | tolerance))


def test_images_of_the_data_part_are_the_batch_augmented_and_normalised(taken):
    plan, (state, data, order, keys) = taken
    images = jax.jit(functools.partial(parts.to_images, plan))(state, data, order, keys)

    @jax.jit
    def expected(data):
        batch = data.batch(order[16:32], jnp.zeros((), jnp.int32))
        key = jax.random.fold_in(keys.augment, 1)
        for number, augment in enumerate(plan.experiment.augment):
            batch = augment(jax.random.fold_in(key, number), batch)
        return plan.normalize(batch.image)

    close(images, expected(data))


def test_gradient_part_is_what_the_step_s_optimiser_gets(taken):
    plan, arguments = taken
    gradients = jax.jit(functools.partial(parts.to_gradients, plan))(*arguments)
    state = arguments[0]
    update = SGD(peak_lr=1.0, momentum=0.0, weight_decay=0.0)
    assert plan.experiment.optimizer == update, "the update must be the gradient"
    after, _ = jax.jit(functools.partial(train_step, plan))(*arguments)
    rate = plan.learning_rate(0)  # the optimiser has counted no step yet
    expected = jax.tree.map(lambda old, new: (old - new) / rate, state.params, after.params)
    assert max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(expected)) > 0.01
    close(gradients, expected, rtol=1e-3, atol=1e-4)


def test_loss_part_is_the_step_s(taken):
    plan, arguments = taken
    sums, batch_stats = jax.jit(functools.partial(parts.to_loss, plan))(*arguments)
    assert int(sums.count) == int(arguments[0].metrics.count) + 16
    assert jax.tree.structure(batch_stats) == jax.tree.structure(arguments[0].batch_stats)


def test_gradient_in_a_scan_is_the_sum_of_those_outside(taken):
    plan, (state, *constant) = taken
    scanned = jax.jit(functools.partial(parts.gradients_in_scan, plan))(state, *constant)
    gradient = jax.jit(functools.partial(parts.to_gradients, plan))
    single = [
        gradient(state.replace(step=state.step + i), *constant) for i in range(parts.SCAN_STEPS)
    ]
    close(scanned, jax.tree.map(lambda *leaves: sum(leaves), *single), rtol=1e-3, atol=1e-4)


def test_a_measurement_warms_up_and_stops_at_enough_samples_or_the_time():
    calls = []

    def count():
        calls.append(0)
        return jnp.zeros(())

    timing = measure(count, seconds=60, samples=3)
    assert len(timing.samples) == 3 and timing.calls == len(calls) - 2
    assert timing.best <= timing.p50 <= timing.p90
    calls.clear()
    timing = measure(count, seconds=0)
    assert len(timing.samples) == 1 and timing.calls == len(calls) - 1
    assert len(measure(count, seconds=0, least=3).samples) == 3


def test_compiling_twice_leaves_the_user_s_cache_and_settings_alone(tmp_path):
    name = "jax_compilation_cache_dir"
    before = getattr(jax.config, name)
    jax.config.update(name, str(tmp_path))
    try:
        made = compile_twice(lambda: jax.jit(lambda x: jnp.cos(x) @ x).lower(np.eye(3)).compile())
        assert getattr(jax.config, name) == str(tmp_path)
    finally:
        jax.config.update(name, before)
    assert made.cold > 0 and made.warm is not None and made.warm > 0
    assert not list(tmp_path.iterdir())
    np.testing.assert_allclose(made.program(np.eye(3)), np.cos(np.eye(3)), rtol=1e-6)


def test_peak_memory_only_grows():
    first, of = peak_memory()
    block = np.ones(2**25)
    assert of == "process" and peak_memory()[0] >= first >= 2**25
    assert block[-1] == 1 and peak_memory()[0] >= block.nbytes


MISTAKES = {
    "batch larger than the data": (["--batch_sizes=64,129"], "--batch_sizes"),
    "no batch": (["--batch_sizes=0"], "--batch_sizes"),
    "batch sizes that are words": (["--batch_sizes=large"], "--batch_sizes"),
    "no time": (["--seconds=0"], "--seconds"),
    "recipe of one's own on record": (["--record"], "--record"),
    "batch sizes in training": (["--mode=train", "--batch_sizes=8"], "--mode=benchmark"),
    "profile in evaluation": (["--mode=evaluate", "--profile"], "--mode=benchmark"),
    "seconds in training": (["--mode=train", "--seconds=3"], "--mode=benchmark"),
    "a sweep": (["--sweep=seed=0,1"], "--mode=sweep"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_line_before_anything_is_measured(mistake, tmp_path, capsys, devices):
    devices(1)
    (tmp_path / "mine.py").write_text(RECIPE)
    arguments, named = MISTAKES[mistake]
    mode = [] if any(a.startswith("--mode") for a in arguments) else ["--mode=benchmark"]
    recipe = f"--config={tmp_path}/mine.py"
    assert cli.main(["run.py", *mode, recipe, f"--workdir={tmp_path}/run", *arguments]) == 2
    said = capsys.readouterr()
    assert one_line(said.err) and named in said.err
    assert not (tmp_path / "run").exists()


def test_batch_sizes_must_divide_over_the_devices(tmp_path):
    experiment = Experiment(data=Shapes(train=64, validation=0, test=8), model=MLP((8,)))
    experiment = config.override(experiment, ["--config.batch_size=32"], NAMES).config
    with pytest.raises(UserError, match=r"--batch_sizes.*multiple"):
        benchmark(experiment, tmp_path / "run", batch_sizes=(8, 9))


def test_record_writes_a_file_for_the_recipe_and_the_device(tmp_path, monkeypatch, capsys, result):
    kept = result | {"recipe": "quickstart", "dataset": "cifar10", "device": "AMD EPYC, 2 cores"}
    monkeypatch.setattr("cnn_jax.modes.benchmark.benchmark", lambda *_, **__: kept)
    write = functools.partial(write_benchmark, folder=tmp_path)
    monkeypatch.setattr("cnn_jax.modes.benchmark.write_benchmark", write)
    assert call("--record") == 0
    path = tmp_path / "benchmarks" / "quickstart-amd-epyc-2-cores.json"
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    written = json.loads(path.read_text())
    assert written["train_step_ms_p50"] == result["train_step_ms_p50"]
    assert written["command"].startswith("python run.py")


def test_shapes_are_not_recorded(tmp_path, result):
    with pytest.raises(UserError, match="Shapes"):
        write_benchmark(config.load("quickstart", NAMES), result, folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_four_devices_by_either_way(parallel, tmp_path):
    from rich.console import Console

    experiment = Experiment(
        data=Shapes(train=64, validation=0, test=20),
        model=MLP((8,)),
        optimizer=SGD(peak_lr=0.05),
        batch_size=16,
        parallel=parallel,
    )
    made = benchmark(experiment, tmp_path, seconds=0.05, console=Console(quiet=True))
    assert made["devices"] == 4 and made["parallel"] == parallel
    assert made["batch_sizes"] == [] and made["recipe"] == ""
    # About as much for each image as on one device: forward, and less than three forward passes.
    forward = made["forward_flops_per_image"]
    assert forward < made["train_flops_per_image_compiler"] < 6 * forward
