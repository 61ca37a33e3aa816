"""Runs and exported nets written by version 0.1, before the package had rooms, stay usable.

`version_0_1/` was written by commit 8f52004 on jax 0.10.2: one experiment of 4 epochs, a run of it
that finished, and one that was stopped after 2 epochs. Across versions of jax and processors, only
what is not computed again has the same bits.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console
from same_run import bits, untimed

from cnn_jax import config
from cnn_jax.config.names import NAMES
from cnn_jax.export import load
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.runs import restore_plan
from cnn_jax.runs.workdir import Run
from cnn_jax.train import train

WRITTEN = Path(__file__).with_name("version_0_1")
QUIET = Console(quiet=True)
# SHA-256 of the leaves of the tested state, as version 0.1 restored them.
STATE = "02b0e729b7411ad0b72563599e07a1e4549dbe1fec67c0f836d69e23e22cae68"
# Every name that a config.json of version 0.1 may hold.
NAMES_THEN = set(
    """
    ASAM Accumulate AdaBelief Adagrad Adam AdamW Airbench Airbench93 Airbench94 Airbench96
    AlexNet AllCNN AlternatingFlip AutoAugment BottleneckResNet Cifar10 Cifar100 ColorJitter
    Constant ConvMixer ConvMixer256_8 ConvNeXt ConvNeXtAtto ConvNeXtTiny ConvNet Cosine CutMix
    Cutout DenseNet DenseNet121 DenseNetBC100_12 DenseNetBC190_40 DenseNetBC40_12 Distill
    Experiment FashionMnist FirstAvailable Flip Folder GoogLeNet Jitter LAMB LARS LeNet Linear
    Lion Lookahead LookaheadSGD MLP Mixup Mnist MobileNet MobileNetV2 MultiStep MulticlassHinge
    Muon NAdam NIN Normalize Plain PreActResNet PreActResNet164 PreActResNet18 PreActResNet50
    PyramidNet PyramidNet110_a84 PyramidNet272_a200 QuickNet RAdam RMSprop RandAugment
    RandomCrop RandomErasing ResNeXt ResNeXt29_2x64d ResNeXt29_8x64d ResNet ResNet101 ResNet110
    ResNet152 ResNet18 ResNet20 ResNet32 ResNet34 ResNet44 ResNet50 ResNet56 SAM SEResNet
    SEResNet18 SGD ScheduleFreeAdamW ScheduleFreeSGD ShakeShake ShakeShake26_2x32d
    ShakeShake26_2x96d Shapes Softmax StagedPreActResNet StagedResNet Svhn TrivialAugment VGG
    VGG11 VGG13 VGG16 VGG19 WRN16_4 WRN16_8 WRN28_10 WRN40_4 WideResNet ZFNet
    """.split()  # noqa: SIM905
)


@pytest.fixture
def written(tmp_path):
    """A copy of the folders."""
    return Path(shutil.copytree(WRITTEN, tmp_path / "runs"))


def assert_close(rows: list[dict], expected: list[dict]):
    """The same rows, numbers to four digits: other versions of jax round otherwise."""
    assert [list(row) for row in rows] == [list(row) for row in expected]
    for row, other in zip(rows, expected, strict=True):
        texts = {key for key, value in row.items() if isinstance(value, str)}
        assert {key: row[key] for key in texts} == {key: other[key] for key in texts}
        for key in row.keys() - texts - {"accuracy"}:
            assert row[key] == pytest.approx(other[key], rel=1e-4), (key, row)


def test_a_checkpoint_restores_to_the_same_bits(written):
    _, state = restore_plan(written / "finished")
    assert hashlib.sha256(b"".join(bits(state))).hexdigest() == STATE


def test_a_run_evaluates_to_the_same(written):
    folder = written / "finished"
    before = json.loads((folder / "evaluation.json").read_text())
    evaluate(folder, console=QUIET)
    after = json.loads((folder / "evaluation.json").read_text())
    assert [key for key in after if key in before] == list(before)
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-5)
    assert after["step"] == before["step"] and after["examples"] == before["examples"]


def test_a_stopped_run_resumes(written):
    run = Run(written / "unfinished")
    result = train(run.experiment(), run.folder, console=QUIET)
    assert result.summary["steps"] == 16
    assert_close(untimed(run.folder), untimed(written / "finished"))


def test_an_exported_net_has_the_weights_and_the_scores_of_its_run(written):
    plan, state = restore_plan(written / "finished")
    net = load(written / "finished" / "exported")
    weights = jax.tree_util.tree_leaves_with_path(state.variables)
    assert len(weights) == len(net.weights)
    for path, leaf in weights:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        np.testing.assert_array_equal(net.weights[name], leaf)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    pixels = plan.normalize(images)
    views = [
        plan.model.apply(state.variables, x, train=False) for x in (pixels, pixels[:, :, ::-1])
    ]
    np.testing.assert_allclose(net(images), (views[0] + views[1]) / 2, rtol=1e-4, atol=1e-6)


def test_every_name_in_a_config_is_still_known():
    assert not NAMES_THEN - NAMES.keys()
    assert config.to_text(config.from_text("NAdam(b1=0.8)", NAMES)) == "NAdam(b1=0.8)"
