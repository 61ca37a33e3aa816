"""Mode export, and an exported net in a process that knows neither the run nor its recipe."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.export
import numpy as np
import pytest
from awkward_pictures import write_bad, write_good
from PIL import Image
from program import one_line, run
from safetensors.numpy import load_file

from cnn_jax import cli, config
from cnn_jax.config.names import NAMES
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.experiment import DataFacts, Plan
from cnn_jax.export import artifact, export, load, write
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.runs.workdir import Run
from cnn_jax.storage import digests
from cnn_jax.storage.json_files import write_json
from cnn_jax.training.step import image_scores
from cnn_jax.transfer.initial_weights import load_initial_weights, with_initial_weights

# A net of its author's own, wide enough for the fast convolutions; averaged weights, several views.
RECIPE = """
import flax.linen as nn
from cnn_jax import ops
from cnn_jax.data import Shapes
from cnn_jax.experiment import Experiment
from cnn_jax.models import layers

class Mine(nn.Module):
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image, *, train):
        x = layers.Conv(16, strides=4)(image)
        x = nn.relu(layers.batch_norm(train=train)(layers.Conv(16)(x)))
        return layers.scores(self.num_classes)(layers.flatten(ops.max_pool(x, 2)))

experiment = Experiment(data=Shapes(train=32, validation=0, test=8), model=Mine(), batch_size=32,
    epochs=3, ema=0.9, tta="mirror_translate")
"""
SUMMARY = {
    "finished": True,
    "test_accuracy": 0.625,
    "test_loss": 1.5,
    "validation_accuracy": None,
    "dataset": "shapes",
    "parameters": 400,
    "epochs": 3.0,
    "steps": 3,
    "train_seconds": 5.0,
    "compile_seconds": 2.0,
}


def main(*arguments) -> int:
    return cli.main(["run.py", *map(str, arguments)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory, state_of):
    """A run's folder as training leaves it, its exported net, and its evaluation's scores.

    The weights were never trained, which takes long and matters to nothing here.
    """
    folder = tmp_path_factory.mktemp("export")
    (folder / "mine.py").write_text(RECIPE)
    source = config.load(str(folder / "mine.py"), NAMES)
    data = source.experiment.data.load()
    plan = Plan.of(source.experiment, DataFacts.of(data))
    other = state_of(plan, seed=1)
    state = state_of(plan).replace(
        step=np.int32(3), ema={"params": other.params, "batch_stats": other.batch_stats}
    )
    run = Run(folder / "run")
    with run.locked(), contextlib.closing(run.checkpoints()) as checkpoints:
        run.begin(plan, source, {})
        checkpoints.save(3, state, {})
    write_json(run.folder / "summary.json", SUMMARY)
    assert main("--mode=export", f"--config={folder}/mine.py", f"--workdir={run.folder}") == 0
    return SimpleNamespace(
        recipe=source,
        plan=plan,
        state=state,
        workdir=run.folder,
        exported=run.folder / "exported",
        images=data.test.images,
        scores=evaluate(run.folder, recipe=source).logits,
    )


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """The exported net alone."""
    return Path(shutil.copytree(trained.exported, tmp_path / "net"))


def sealed(folder: Path, **changed) -> Path:
    """The exported net with other facts, as if it had been written so."""
    facts = json.loads((folder / artifact.FACTS).read_text())
    (folder / artifact.FACTS).write_text(json.dumps(facts | changed))
    digests.seal(folder)
    return folder


def by_name(variables) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_flatten_with_path(variables)[0]
    return {"/".join(entry.key for entry in path): np.asarray(leaf) for path, leaf in leaves}


def test_batches_of_any_size_get_the_scores_of_the_evaluation(trained):
    net = load(trained.exported)
    parts = [net(trained.images[:1]), net(trained.images[1:]), net(trained.images[:0])]
    largest = abs(trained.scores).max()
    np.testing.assert_allclose(np.concatenate(parts), trained.scores, atol=1e-4 * largest)
    # As README does it, without this package.
    program = jax.export.deserialize(bytearray((trained.exported / artifact.PROGRAM).read_bytes()))
    alone = program.call(load_file(trained.exported / artifact.WEIGHTS), trained.images[:1])
    np.testing.assert_array_equal(alone, parts[0])


def test_another_process_predicts_without_the_run_and_the_recipe(trained, copied, tmp_path):
    net, pictures = copied, tmp_path / "pictures"
    pictures.mkdir()
    good, bad = write_good(pictures), write_bad(pictures)
    for number, image in enumerate(trained.images[:3]):
        Image.fromarray(image).save(pictures / f"test{number}.png")
    out, sheet = tmp_path / "out.jsonl", tmp_path / "sheet.png"
    hidden = trained.workdir.parent.rename(tmp_path / "hidden")
    try:
        done = run(
            "--mode=predict", f"--model={net}", str(pictures), "--top=10", f"--output={out}",
            f"--contact_sheet={sheet}", cwd=tmp_path, code=1,
        )  # fmt: skip
    finally:
        hidden.rename(trained.workdir.parent)
    *told, last = done.stderr.strip().splitlines()
    assert told[0].endswith("pictures: passed over 1 .txt") and len(told) == 1 + 5
    assert last == f"error: 5 of {len(good) + 8} files could not be read"
    rows = {Path(row["file"]).name: row for row in map(json.loads, out.read_text().splitlines())}
    assert sum("error" in row for row in rows.values()) == 5 < len(bad)  # notes.txt isn't looked at
    assert Image.open(sheet).width > 500
    for number, score in enumerate(trained.scores[:3]):
        probability = np.exp(score - score.max()) / np.exp(score - score.max()).sum()
        said = {entry["class"]: entry["probability"] for entry in rows[f"test{number}.png"]["top"]}
        expected = dict(zip(trained.plan.data.classes, probability, strict=True))
        assert said == pytest.approx(expected, abs=1e-4)


def test_the_weights_are_those_of_the_evaluation_and_a_run_can_begin_with_them(trained, state_of):
    file = trained.exported / artifact.WEIGHTS
    weights, expected = load_file(file), by_name(trained.state.ema)
    assert weights.keys() == expected.keys()
    for name in weights:
        np.testing.assert_array_equal(weights[name], expected[name])
    experiment = dataclasses.replace(trained.plan.experiment, init_from=str(file))
    plan = Plan.of(experiment, trained.plan.data)
    begun, said = with_initial_weights(plan, state_of(plan), load_initial_weights(plan))
    assert "10 of the net's 10 arrays loaded" in said and one_line(said)
    for name, array in by_name({"params": begun.params}).items():
        np.testing.assert_array_equal(array, expected[name])


def test_what_is_known_of_the_net_stands_beside_it(trained):
    facts = load(trained.exported).facts
    assert facts["model"] == "Mine(num_classes=10)"
    assert facts["trained"]["test_accuracy"] == 0.625 and facts["trained"]["step"] == 3
    sizes = [leaf.size for leaf in jax.tree.leaves(trained.state.params)]
    assert facts["parameters"] == sum(sizes)
    assert facts["platforms"] == ["cpu", "cuda", "tpu"]
    assert facts["in_program"]["views"] == "mirror_translate"
    names = {path.name for path in trained.exported.iterdir()}
    assert names == {*artifact.FILES}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_convolutions_are_the_library_s_own_in_the_run_s_precision(
    precision, plan_of, state_of, dataset
):
    plan = plan_of(precision=precision)
    state = state_of(plan)
    weights = by_name(state.variables)
    program = write.lower(plan, weights)
    lines = program.mlir_module().splitlines()
    convolved = [line for line in lines if "stablehlo.convolution" in line]
    assert convolved and not any("stablehlo.while" in line for line in lines)
    half = precision == "bfloat16"
    assert all(("xbf16>" in line) == half and ("xf32>" in line) != half for line in convolved)
    own = jax.jit(functools.partial(image_scores, plan))
    for images in (dataset.test.images[:1], dataset.test.images[:7]):
        expected = np.asarray(own(state.variables, images))
        found = np.asarray(program.call(weights, images))
        assert found.dtype == np.float32
        close = (0.03 if half else 1e-5) * abs(expected).max()
        np.testing.assert_allclose(found, expected, atol=close)


def test_a_net_that_looks_at_the_number_of_images_is_told(plan_of):
    class Counting(nn.Module):
        @nn.compact
        def __call__(self, image, *, train):
            scores = nn.Dense(10)(image.reshape(len(image), -1))
            return scores if len(image) < 100 else 2 * scores

    weights = {
        "params/Dense_0/kernel": np.zeros((192, 10), np.float32),
        "params/Dense_0/bias": np.zeros(10, np.float32),
    }
    with pytest.raises(UserError, match="Counting can't be exported for any number") as error:
        write.lower(plan_of(model=Counting()), weights)
    assert one_line(str(error.value))


@pytest.mark.parametrize("name", artifact.FILES)
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damage_is_found_and_named(name, damage, copied):
    path = copied / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flipped" else content[:-7])
    missing = damage == "gone" and name == artifact.FACTS  # is there no exported net at all?
    with pytest.raises(UserError if missing else RunFailed, match=name) as error:
        load(copied)
    assert one_line(str(error.value))


def test_a_file_put_beside_is_no_damage(copied):
    (copied / "README").write_text("mine")
    assert load(copied).classes[0] == "circle"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"calling_convention_version": 99}, "calling convention 99.*newer JAX"),
        ({"calling_convention_version": 2}, "calling convention 2.*older JAX"),
        ({"stablehlo_version": "99.1.0"}, r"StableHLO 99\.1\.0.*newer JAX"),
        ({"format": 2}, "format 2"),
    ],
)
def test_other_versions_are_told_before_anything_is_run(changed, named, copied):
    with pytest.raises(UserError, match=named) as error:
        load(sealed(copied, **changed))
    assert one_line(str(error.value))


def test_images_of_another_kind_are_told(trained):
    net = load(trained.exported)
    for images in (np.zeros((2, 32, 32, 3)), np.zeros((2, 28, 28, 1), np.uint8)):
        with pytest.raises(UserError, match=r"uint8 images of the shape \(B, 32, 32, 3\)"):
            net(images)


def test_exporting_again_takes_the_place_of_the_first_and_of_nothing_else(
    trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(write, "_difference", lambda *_: 0.0)  # which is compared elsewhere
    target = tmp_path / "below" / "net"
    export(trained.workdir, target, recipe=trained.recipe)
    (target / artifact.FACTS).write_text("{}")
    export(trained.workdir, target, recipe=trained.recipe)
    assert load(target).facts == load(trained.exported).facts
    (target / "predictions.csv").touch()
    with pytest.raises(UserError, match=r"predictions\.csv"):
        export(trained.workdir, target, recipe=trained.recipe)
    assert [path.name for path in target.parent.iterdir()] == ["net"]


def test_a_signal_while_it_takes_the_place_leaves_the_first(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "_difference", lambda *_: 0.0)
    target = tmp_path / "net"
    export(trained.workdir, target, recipe=trained.recipe)
    rename, moves = Path.rename, []

    def interrupted(path, to):
        moves.append(to)
        if len(moves) == 2:  # the first has gone aside, the second is not there yet
            raise KeyboardInterrupt
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(trained.workdir, target, recipe=trained.recipe)
    assert load(target).facts == load(trained.exported).facts
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


@pytest.mark.parametrize("failure", ["disk", "program"])
def test_what_fails_on_the_way_leaves_nothing(failure, trained, tmp_path, monkeypatch):
    if failure == "disk":

        def full(folder):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(digests, "seal", full)
    else:
        right, pixels = write.lower, Normalize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

        def wrong(plan, weights):
            return right(dataclasses.replace(plan, normalize=pixels), weights)

        monkeypatch.setattr(write, "lower", wrong)
    with pytest.raises((OSError, RunFailed), match=r"No space|scores differ"):
        export(trained.workdir, tmp_path / "net", recipe=trained.recipe)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--mode=predict", "--model=nowhere", "x.png"], "nowhere"),
        (["--mode=predict", "--model=RUN", "x.png"], "--workdir names a run"),
        (["--mode=predict", "--model=RUN", "--workdir=RUN", "x.png"], "drop --workdir"),
        (["--mode=predict", "--model=RUN", "--config=quickstart", "x.png"], "drop --config"),
        (["--mode=predict", "--model=RUN", "--config.seed=3", "x.png"], "--config.seed"),
        (["--mode=predict", "--model=", "x.png"], "--model= is empty"),
        (["--mode=evaluate", "--model=RUN"], "--model is for --mode=predict"),
        (["--mode=export"], "needs the --workdir"),
        (["--mode=export", "--workdir=nowhere"], "no run at nowhere"),
        (["--mode=export", "--workdir=RUN", "--output=RUN/config.json"], "Not a directory"),
        (["--mode=export", "--workdir=RUN", "--output=RUN"], "contains files of something else"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, named, trained, capsys):
    given = [argument.replace("RUN", str(trained.workdir)) for argument in arguments]
    if "--mode=export" in given and "--workdir=nowhere" not in given:
        given.append(f"--config={trained.recipe.path}")
    assert main(*given) == 2
    error = capsys.readouterr().err
    assert one_line(error[error.index("error: ") :]) and named in error
