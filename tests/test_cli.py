"""The command line as a user meets it: what it prints, and one line for every mistake."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from program import ROOT, TINY, one_line, run

from cnn_jax import cli, config
from cnn_jax.config.names import NAMES


def call(*arguments: str) -> int:
    """The program in this process."""
    return cli.main(["run.py", *arguments])


MISTAKES = {
    "typo in a field": (["--config.optimizer.peak_lrr=1"], "peak_lr"),
    "typo in a plain flag": (["--workdirr=x"], "workdir"),
    "wrong type": (["--config.batch_size=many"], "batch_size"),
    "a fraction for a whole number": (["--config.batch_size=1.5"], "batch_size"),
    "negative": (["--config.epochs=-1"], "epochs"),
    "zero": (["--config.batch_size=0"], "batch_size"),
    "NaN": (["--config.optimizer.peak_lr=nan"], "peak_lr"),
    "infinity": (["--config.optimizer.peak_lr=inf"], "peak_lr"),
    "out of range": (["--config.optimizer.momentum=1.5"], "momentum"),
    "unknown recipe": (["--config=cifar10_convet"], "cifar10_convnet"),
    "recipe file that is not there": (["--config=nowhere.py"], "nowhere.py"),
    "unknown class": (["--config.model=LeNt"], "LeNet"),
    "unknown loss": (["--config.loss=Hinge"], "MulticlassHinge"),
    "another kind of object": (["--config.loss=SGD"], "loss"),
    "abstract class": (["--config.optimizer=Optimizer"], "SGD"),
    "argument that is no flag": (["cifar10_convnet"], "cifar10_convnet"),
    "unknown choice": (["--config.parallel=vmap"], "jit"),
    "unknown mode": (["--mode=trian"], "train"),
    "code": (["--config.model=__import__('os').system('true')"], "model"),
    "unknown field of a chosen class": (
        ["--config.model=LeNet", "--config.model.width=3"],
        "width",
    ),
    "element that is not there": (["--config.augment.7.padding=3"], "augment"),
    "batch larger than the data": (
        ["--config.data=Shapes(train=100)", "--config.batch_size=101"],
        "batch_size",
    ),
    "keep_best without validation": (
        ["--config.data=Shapes(train=200, validation=0)", "--config.keep_best=True"],
        "keep_best",
    ),
    "number of classes": (
        ["--config.data=Shapes(train=200)", "--config.model.num_classes=7"],
        "num_classes",
    ),
    "warm-up longer than the run": (
        ["--config.data=Shapes(train=200)", "--config.schedule=Cosine(warmup=900)"],
        "warmup",
    ),
    "epochs beyond counting": (
        ["--config.data=Shapes(train=200)", "--config.epochs=1e12"],
        "epochs",
    ),
    "evaluate without a run": (["--mode=evaluate"], "workdir"),
    "evaluate where there is no run": (["--mode=evaluate", "--workdir=nowhere"], "nowhere"),
    "sweep without values": (["--mode=sweep"], "--sweep"),
    "sweep of nonsense": (["--mode=sweep", "--sweep=seed"], "seed"),
    "sweep of an unknown field": (["--mode=sweep", "--sweep=sead=1,2"], "seed"),
    "sweep of a repeated value": (["--mode=sweep", "--sweep=seed=1,1"], "repeats"),
    "sweep of one value in two forms": (
        ["--mode=sweep", "--sweep=model=LeNet,LeNet()"],
        "model=LeNet and model=LeNet() are the same run",
    ),
    "sweep in another mode": (["--sweep=seed=1,2"], "--mode=sweep"),
    "record of a changed recipe": (["--record", "--config.epochs=1"], "epochs"),
    "data that is not there": (["--config.data=Cifar10", "--data_dir=nowhere"], "data_dir"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_line_that_names_it_and_exit_code_2(mistake, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments, named = MISTAKES[mistake]
    assert call("--config=cifar10_convnet", *arguments) == 2
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and one_line("\n".join(errors))
    assert named in errors[0]
    assert "Traceback" not in printed.err + printed.out


def test_workdir_below_a_file_fails_before_anything_is_compiled(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert call(*TINY, f"--workdir={tmp_path}/file/run") == 2
    assert "file" in capsys.readouterr().err


def test_help_names_every_field_with_type_default_and_meaning(capsys):
    with pytest.raises(SystemExit) as stop:
        call("--help", "--config=cifar10_convnet")
    assert stop.value.code == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    for row in config.describe(config.load("cifar10_convnet", NAMES).experiment):
        assert row.help, f"{row.name} has no meaning in its class's docstring"
        assert f"--{row.name} {row.type}" in text
    assert "--config.optimizer.peak_lr float [0.0" in text


def test_help_answers_quickly_and_loads_no_data_or_plotting_library(tmp_path):
    began = time.monotonic()
    run("--help")
    assert time.monotonic() - began < 60  # about a second; this only guards against a hang


@pytest.mark.parametrize("recipe", config.recipes())
def test_every_field_that_a_recipe_can_name_has_a_meaning(recipe):
    for row in config.describe(config.load(recipe, NAMES).experiment):
        assert row.help, row.name


@pytest.mark.parametrize("recipe", config.recipes())
def test_printed_config_is_a_recipe_that_runs_and_is_equal(recipe, capsys, tmp_path):
    assert call(f"--config={recipe}", "--config.seed=3", "--print_config") == 0
    path = tmp_path / "printed.py"
    path.write_text(capsys.readouterr().out)
    overridden = config.override(
        config.load(recipe, NAMES).experiment, ["--config.seed=3"], NAMES
    ).config
    assert config.load(str(path), NAMES).experiment == overridden


def test_list_shows_recipes_and_models_with_exact_counts(capsys):
    assert call("--list") == 0
    printed = capsys.readouterr().out
    for recipe in config.recipes():
        assert recipe in printed
    assert re.search(r"ResNet18 +32x32x3, 10 classes +11,173,962 +1,110,845,440", printed)
    assert re.search(r"LeNet +32x32x3, 10 classes +62,006 +1,303,440", printed)
    assert "91.25 %" in printed
    measured, _, unverified = printed.partition("Unverified recipes")
    assert re.search(r"quickstart.*?\n +published +none\n +measured +86\.12 %", measured)
    assert "cifar10_resnet20 " in unverified and "quickstart" not in unverified


def test_dry_run_says_what_a_run_takes_and_leaves_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*TINY, "--dry_run") == 0
    printed = capsys.readouterr().out
    assert "24 (8 an epoch, 3 epochs)" in printed
    assert re.search(r"Conv_0/kernel\s+3x3x3x4\s+108", printed)
    assert "MiB" in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_leaves_the_files_it_promises_and_evaluates_to_the_same(tmp_path, capsys):
    folder = tmp_path / "run"
    assert call(*TINY, f"--workdir={folder}") == 0
    printed = capsys.readouterr().out
    assert "on shapes" in printed
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["dataset"] == "shapes" and summary["finished"] is True
    assert summary["steps"] == 24 and summary["recipe"] == "quickstart"
    assert summary["parameters"] == 108 + 4 + 144 + 4 + 288 + 8 + 576 + 8 + 8192 + 16 + 160 + 10
    for key in ("test_accuracy", "test_loss", "train_seconds", "compile_seconds", "precision"):
        assert key in summary
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows] == ["train", "validation"] * 3 + ["test"]
    assert [row["step"] for row in rows] == [8, 8, 16, 16, 24, 24, 24]
    for name in ("learning_curves", "confusion_matrix", "first_layer_filters"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 1000
    assert list((folder / "tensorboard").iterdir())
    launch = json.loads((folder / "manifest.json").read_text())["launches"][0]
    assert launch["software"]["jax"] and launch["device"]
    saved = json.loads((folder / "config.json").read_text())
    assert saved["recipe"]["name"] == "quickstart"
    assert config.from_text(saved["experiment"], NAMES).batch_size == 32

    for batch in (7, 75, 500):
        assert call("--mode=evaluate", f"--workdir={folder}", f"--eval_batch={batch}") == 0
        result = json.loads((folder / "evaluation.json").read_text())
        assert result["accuracy"] == summary["test_accuracy"]
        assert result["loss"] == pytest.approx(summary["test_loss"], rel=1e-6)
        assert sum(map(sum, result["confusion"])) == 75
    assert "true class" in capsys.readouterr().out


@pytest.mark.slow
def test_sweep_trains_every_combination_and_chooses_on_validation(tmp_path, capsys):
    arguments = (*TINY, "--config.epochs=1", "--mode=sweep", f"--workdir={tmp_path}")
    sweep = "--sweep=optimizer.peak_lr=0.01,0.1; model=ConvNet(widths=(4, 8), hidden=8),MLP((8,))"
    assert call(*arguments, sweep) == 0
    printed = capsys.readouterr().out
    assert len(list(tmp_path.glob("*/summary.json"))) == 4
    assert "validation accuracy" in printed and printed.count("best") == 1
    selected = ("--config.keep_best=True", "--config.select_by=balanced_accuracy")
    assert call(*arguments, *selected, "--sweep=seed=2,3; batch_size=64") == 0
    assert "validation balanced accuracy" in capsys.readouterr().out
    assert call(*arguments, "--sweep=seed=0,1") == 0
    assert "95 % interval of the mean" in capsys.readouterr().out


def test_a_dry_run_of_a_sweep_lists_its_runs_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (*TINY, "--config.model=MLP((8,))", "--mode=sweep", "--workdir=s")
    assert call(*arguments, "--sweep=epochs=1,3", "--dry_run") == 0
    printed = capsys.readouterr().out
    # An epoch has 256 images; each costs 3 forward passes of 2 FLOPs for each weight.
    petaflops = 256 * 3 * 2 * (32 * 32 * 3 * 8 + 8 * 10) / 1e15
    assert re.search(rf"000 +epochs=1 +waiting +8 +{petaflops:.3g} P", printed)
    assert re.search(rf"001 +epochs=3 +waiting +24 +{3 * petaflops:.3g} P", printed)
    assert f"2 of 2 runs are to be trained: 32 steps, {4 * petaflops:.3g} P" in printed
    assert not list(tmp_path.iterdir())
    assert call(*arguments, "--sweep=epochs=1") == 0
    assert call(*arguments, "--sweep=epochs=1,2", "--dry_run") == 0
    printed = capsys.readouterr().out
    assert re.search(r"000 +epochs=1 +finished +8 ", printed)
    assert "1 of 2 runs are to be trained: 16 steps" in printed


OWN_RECIPE = '''
"""A recipe and a model outside the repository."""
import flax.linen as nn
from cnn_jax.data import Shapes
from cnn_jax.experiment import Experiment
from cnn_jax.optim import SGD


class Tiny(nn.Module):
    """Two layers.

    Attributes:
      width: Filters.
      num_classes: Class scores.
    """

    width: int = 4
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image, *, train):
        x = nn.relu(nn.Conv(self.width, (3, 3), strides=2)(image))
        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2)))


experiment = Experiment(
    data=Shapes(train=256, validation=0, test=50), model=Tiny(), optimizer=SGD(peak_lr=0.05),
    batch_size=32, epochs=1,
)
'''


@pytest.mark.slow
def test_own_recipe_and_model_train_and_evaluate_from_outside_the_repository(tmp_path):
    recipe = tmp_path / "mine.py"
    recipe.write_text(OWN_RECIPE)
    trained = run("--config=mine.py", "--config.model.width=6", "--workdir=out", cwd=tmp_path)
    assert "Tiny(width=6)" in trained.stdout
    run("--mode=evaluate", "--config=mine.py", "--workdir=out", cwd=tmp_path)
    without = run("--mode=evaluate", "--workdir=out", cwd=tmp_path, code=2)
    assert one_line(without.stderr) and "Tiny unknown" in without.stderr
    assert f"--config={recipe.name}" in without.stderr and "Choose" not in without.stderr
    other = ("--config=mine.py", "--config.model=LeNet", "--workdir=out")
    refused = run(*other, cwd=tmp_path, code=2)
    assert "another experiment (model: Tiny(width=6) -> LeNet()" in refused.stderr
    recipe.write_text(OWN_RECIPE.replace("Tiny", "Small"))  # which knows Tiny no more
    refused = run("--config=mine.py", "--workdir=out", cwd=tmp_path, code=2)
    assert "another experiment (Experiment(" in refused.stderr and "Tiny(" in refused.stderr


PARTS = """
class Block(nn.Module):
    width: int


class Large(Tiny):
    def __call__(self, image, *, train):
        return super().__call__(image[:, 5, 7, 300], train=train)


"""


def test_a_part_of_a_net_and_one_for_other_images_do_not_disturb_the_list(tmp_path, capsys):
    recipe = tmp_path / "mine.py"
    recipe.write_text(OWN_RECIPE.replace("experiment = ", PARTS + "experiment = "))
    assert call("--list", f"--config={recipe}") == 0
    printed = capsys.readouterr().out
    assert re.search(r"Tiny +32x32x3, 10 classes +162 ", printed) and "Block" not in printed
    assert re.search(r"(?m)^Large cannot be traced on this shape: .*mine.py:", printed)


def test_import_starts_no_backend_and_run_is_short():
    assert len((ROOT / "run.py").read_text().splitlines()) <= 60


def test_ctrl_c_says_what_the_same_command_does_next(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cnn_jax.modes.train.train", interrupted)
    assert call(*TINY) == 130
    assert "interrupted: the same command starts the run" in capsys.readouterr().err


def test_divergence_is_one_line_and_keeps_the_last_good_checkpoint(tmp_path, capsys):
    arguments = (*TINY, "--config.optimizer.peak_lr=1e30", f"--workdir={tmp_path}/run")
    assert call(*arguments) == 1
    said = capsys.readouterr().err
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "peak_lr" in errors[0] and "Traceback" not in said
    assert not (Path(tmp_path) / "run" / "summary.json").exists()


def test_a_run_that_diverges_does_not_end_a_sweep(tmp_path, capsys):
    sweep = "--sweep=optimizer.peak_lr=1e30,0.05"
    assert call(*TINY, "--config.epochs=1", "--mode=sweep", sweep, f"--workdir={tmp_path}") == 0
    printed = capsys.readouterr().out
    assert printed.count("diverged") == 2
    assert call(*TINY, "--config.epochs=1", "--mode=sweep", sweep, f"--workdir={tmp_path}") == 0
    assert "diverged: " not in capsys.readouterr().out  # it is not trained again
    assert len(list(tmp_path.glob("*/summary.json"))) == 1


def test_notes_do_not_disturb_a_printed_config(capsys):
    assert (
        call(
            "--config=cifar10_resnet18",
            "--config.schedule=Linear",
            "--config.data=Shapes",
            "--print_config",
        )
        == 0
    )
    printed = capsys.readouterr()
    assert "discards the settings of" in printed.err
    compile(printed.out, "printed", "exec")


def test_a_reader_who_has_gone_is_no_error_message():
    process = run("--list", code=None)
    assert process.returncode == 0
    shell = f"{sys.executable} {ROOT}/run.py --list | head -n 1"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=120)
    assert done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize("asked", ["--list", "--help"])
def test_closed_output_is_no_error(asked, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with contextlib.suppress(SystemExit):  # of help; it has no other code
        assert call(asked) == 0
    sys.stdout.close()
    sys.stderr.close()


def test_an_absent_accelerator_is_one_line():
    done = run(*TINY, "--dry_run", code=2, JAX_PLATFORMS="cuda")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "cuda" in errors[0] and "Traceback" not in done.stderr


@pytest.mark.parametrize("content", ["xx", "{}", "[]", '{"experiment": 3}'])
def test_a_damaged_config_of_a_run_is_one_line(content, tmp_path, capsys):
    (tmp_path / "config.json").write_text(content)
    assert call("--mode=evaluate", f"--workdir={tmp_path}") == 2
    assert one_line(capsys.readouterr().err)
