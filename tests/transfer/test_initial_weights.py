"""Starting from weights that are there, and leaving some of them as they are."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from program import TINY, one_line
from safetensors.numpy import save_file

from cnn_jax import cli, models
from cnn_jax.data import Shapes
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.optim import Lookahead
from cnn_jax.runs import restore
from cnn_jax.transfer.initial_weights import load_initial_weights, with_initial_weights


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run on Shapes, of ConvNet(widths=(4, 8), hidden=16)."""
    folder = tmp_path_factory.mktemp("transfer") / "run"
    assert cli.main(["run.py", *TINY, "--config.epochs=1", f"--workdir={folder}"]) == 0
    return folder


def arrays(tree) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(p, simple=True, separator="/"): np.asarray(x) for p, x in leaves}


def test_a_run_goes_on_from_another_s_weights_and_leaves_frozen_ones(finished, tmp_path, capsys):
    code = cli.main(
        [
            "run.py",
            *TINY,
            "--config.epochs=1",
            "--config.seed=5",
            "--config.model.hidden=12",
            f"--config.init_from={finished}",
            "--config.freeze=('Conv_[01]/*', 'Conv_2/bias')",
            f"--workdir={tmp_path}/run",
        ]
    )
    assert code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "9 of the net's 12 arrays loaded" in said
    assert "params/Dense_0/kernel (512x16, here 512x12)" in said
    before = arrays(restore(finished)[1].params)
    after = arrays(restore(tmp_path / "run")[1].params)
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same == {"Conv_0/kernel", "Conv_0/bias", "Conv_1/kernel", "Conv_1/bias", "Conv_2/bias"}
    # What was loaded and then trained has moved a little; what is fresh is elsewhere.
    assert abs(after["Conv_3/kernel"] - before["Conv_3/kernel"]).max() < 0.2


def test_fitting_arrays_are_loaded_bit_for_bit(finished, plan_of, state_of):
    plan = plan_of(model=models.ConvNet(widths=(4, 8), hidden=16), init_from=str(finished))
    state, said = with_initial_weights(plan, state_of(plan), load_initial_weights(plan))
    given = arrays(restore(finished)[1].params)
    # Images of 8x8 instead of 32x32: the first fully connected layer is another.
    for name, array in arrays(state.params).items():
        assert np.array_equal(array, given[name]) == (name != "Dense_0/kernel"), name
    assert "params/Dense_0/kernel (512x16, here 32x16)" in said and one_line(said)


def test_what_became_of_each_array_is_told(plan_of, state_of):
    """Loaded, of another shape, fresh, left over; the averages and slow weights begin with them."""
    plan = plan_of(model=models.MLP(hidden=(3,)), init_from="there", ema=0.9, lookahead=Lookahead())
    given = {
        "params/Dense_0/bias": np.arange(3.0),
        "params/Dense_1/kernel": np.ones((3, 7)),
        "params/Conv_0/bias": np.ones(2),
        "batch_stats/BatchNorm_0/mean": np.ones(2),
    }
    drawn = state_of(plan)
    state, said = with_initial_weights(plan, drawn, given)
    assert said == (
        "there: 1 of the net's 4 arrays loaded; of another shape: params/Dense_1/kernel (3x7, here "
        "3x10); fresh: params/Dense_0/kernel, params/Dense_1/bias; left over: "
        "batch_stats/BatchNorm_0/mean, params/Conv_0/bias"
    )
    for kept in (state.params, state.opt_state.slow, state.ema["params"]):
        np.testing.assert_array_equal(kept["Dense_0"]["bias"], [0, 1, 2])
        for name in ("Dense_0", "Dense_1"):
            np.testing.assert_array_equal(kept[name]["kernel"], drawn.params[name]["kernel"])
    # They can be donated with the parameters: the buffers are three.
    jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)(state)


def test_running_statistics_are_weights_too(plan_of, state_of):
    plan = plan_of(init_from="there")
    drawn = state_of(plan)
    given = {
        f"batch_stats/{name}": np.full(array.shape, 7.0)
        for name, array in arrays(drawn.batch_stats).items()
    }
    state, _ = with_initial_weights(plan, drawn, given)
    assert given
    assert all((leaf == 7).all() for leaf in jax.tree.leaves(state.batch_stats))


@pytest.fixture
def lenet():
    """A function from a file's name to the plan of a LeNet that begins with it, and to what could
    be in it: the weights of PyTorch's for three classes, so that the scores start afresh."""

    def make(file):
        random = np.random.default_rng(0)
        shapes = {"conv1": (6, 3, 5, 5), "conv2": (16, 6, 5, 5), "fc1": (120, 400)}
        weights = {}
        for name, shape in {**shapes, "fc2": (84, 120), "fc3": (3, 84)}.items():
            weights[f"{name}.weight"] = random.standard_normal(shape).astype(np.float32)
            weights[f"{name}.bias"] = random.standard_normal(shape[:1]).astype(np.float32)
        data = Shapes(train=64, validation=0, test=8)
        experiment = Experiment(data=data, model=models.LeNet(), batch_size=16, init_from=str(file))
        return Plan.of(experiment, DataFacts.of(data.load())), weights

    return make


@pytest.mark.parametrize("file", ["lenet.safetensors", "lenet.npz"])
def test_weights_of_a_pytorch_net_are_loaded_from_a_file(lenet, file, tmp_path, state_of):
    plan, weights = lenet(tmp_path / file)
    save_file(weights, tmp_path / "lenet.safetensors")
    np.savez(tmp_path / "lenet.npz", **weights)
    state, said = with_initial_weights(plan, state_of(plan), load_initial_weights(plan))
    assert "8 of the net's 10 arrays loaded" in said
    kernel = weights["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(state.params["Conv_0"]["kernel"], kernel)
    np.testing.assert_array_equal(state.params["Dense_1"]["kernel"], weights["fc2.weight"].T)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_weights_of_a_wrapped_pytorch_net_are_loaded_too(lenet, wrapper, tmp_path, state_of):
    plan, weights = lenet(tmp_path / "lenet.npz")
    np.savez(tmp_path / "lenet.npz", **{wrapper + name: w for name, w in weights.items()})
    state, _ = with_initial_weights(plan, state_of(plan), load_initial_weights(plan))
    np.testing.assert_array_equal(state.params["Dense_1"]["kernel"], weights["fc2.weight"].T)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fc3.weight": np.float32(1)}, "fc3.weight of the PyTorch weights is a scalar"),
        ({"conv1.bias": np.full(6, np.nan)}, "params/Conv_0/bias holds NaN or infinity"),
        ({"conv1.bias": np.full(6, np.inf)}, "params/Conv_0/bias holds NaN or infinity"),
        (
            {"conv9.bias": np.ones(6)},
            r"LeNet\(num_classes=3\) has no layer for conv9.bias of .*; are "
            r"these weights of LeNet\(\), the net here\?$",
        ),
    ],
)
def test_pytorch_weights_that_can_not_be_are_told_with_their_file(
    lenet, changed, message, tmp_path
):
    file = tmp_path / "lenet.npz"
    plan, weights = lenet(file)
    np.savez(file, **{**weights, **changed})
    with pytest.raises(UserError, match=f"^init_from={file}: {message}") as error:
        load_initial_weights(plan)
    assert one_line(str(error.value))


def test_a_file_of_another_kind_is_told(plan_of, tmp_path):
    file = tmp_path / "lenet.pth"
    file.write_bytes(b"pickled")
    with pytest.raises(UserError, match=f"^init_from={file}: must be .* .npz or .safetensors"):
        load_initial_weights(plan_of(init_from=str(file)))


def test_a_run_whose_net_is_its_own_recipe_s_is_told_how_it_can_be_used(finished, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    text = json.loads((finished / "config.json").read_text())
    text["experiment"] = text["experiment"].replace("ConvNet", "Mine")
    (own / "config.json").write_text(json.dumps(text))
    data = Shapes(train=64, validation=0, test=8)
    experiment = Experiment(data=data, model=models.LeNet(), init_from=str(own), batch_size=16)
    plan = Plan.of(experiment, DataFacts.of(data.load()))
    with pytest.raises(UserError, match=f"^init_from={own}: .*--mode=export --workdir={own}"):
        load_initial_weights(plan)


def test_a_dry_run_looks_at_the_weights_too(tmp_path, capsys):
    arguments = (*TINY, "--dry_run", f"--config.init_from={tmp_path}/nowhere.npz")
    assert cli.main(["run.py", *arguments]) == 2
    assert "nowhere.npz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("nowhere", "^init_from=nowhere: no run at nowhere"),
        ("nowhere.npz", "^init_from=nowhere.npz: can't be read"),
        ("None", "^init_from=None: no run at None.*; --config.init_from= leaves it unset"),
    ],
)
def test_weights_that_are_not_there_are_one_line(source, named, plan_of):
    plan = plan_of(init_from=source)
    with pytest.raises(UserError, match=named) as error:
        load_initial_weights(plan)
    assert one_line(str(error.value))


@pytest.mark.parametrize("name", ["garbled.npz", "garbled.safetensors"])
def test_a_garbled_file_below_the_user_s_home_is_one_line(name, plan_of, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(UserError, match=f"^init_from={tmp_path}/{name}: can't be read: ") as error:
        load_initial_weights(plan_of(init_from=f"~/{name}"))
    assert one_line(str(error.value))


def test_weights_of_which_none_fits_are_a_mistake(finished, plan_of):
    plan = plan_of(model=models.MLP(hidden=(3, 2)), init_from=str(finished))
    with pytest.raises(UserError, match="none of its 12 arrays fits"):
        load_initial_weights(plan)


def test_a_pattern_that_freezes_nothing_is_a_mistake(capsys, tmp_path):
    for pattern, hint in (
        ("'Block_0/*'", "'Block_0/*' matches no parameter; the net's parts are Conv_0"),
        ("'Conv0/*'", "did you mean 'Conv_0/*'?"),
        ("Conv_0/*", "must be tuple[str, ...], got"),
    ):
        arguments = (*TINY, f"--config.freeze=({pattern},)", f"--workdir={tmp_path}/run")
        assert cli.main(["run.py", *arguments]) == 2
        assert hint in capsys.readouterr().err
    assert cli.main(["run.py", *TINY, "--config.freeze=Conv_0/*,BatchNorm_0/*"]) == 2
    assert """; write '("Conv_0/*", "BatchNorm_0/*")'""" in capsys.readouterr().err


def test_patterns_that_freeze_everything_are_a_mistake(capsys, tmp_path):
    arguments = (*TINY, "--config.freeze=('*',)", f"--workdir={tmp_path}/run")
    assert cli.main(["run.py", *arguments]) == 2
    assert "the patterns match every parameter" in capsys.readouterr().err
