from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cnn_jax import config

from .toys import BASE, NAMES, SGD, Adam, Average, Crop, Flip, Hinge, ResNet, Softmax


def changed(*argv, base=BASE):
    return config.override(base, argv, NAMES).config


@pytest.mark.parametrize(
    ("argv", "fields"),
    [
        (["--config.epochs=3"], {"epochs": 3}),
        (["--config.epochs", "3"], {"epochs": 3}),
        (["-config.epochs=3"], {"epochs": 3}),
        (["--config.epochs=2.5"], {"epochs": 2.5}),
        (["--config.epochs=3", "--config.epochs=4"], {"epochs": 4}),
        (["--config.warmup", "-1"], {"warmup": -1}),
        (["--config.title=two words, (x"], {"title": "two words, (x"}),
        (["--config.title=12"], {"title": "12"}),
        (["--config.title=None"], {"title": "None"}),
        (["--config.title='q'"], {"title": "q"}),
        (["--config.title=Flip"], {"title": "Flip"}),
        (["--config.title="], {"title": ""}),
        (["--config.keep_best"], {"keep_best": True}),
        (["--config.keep_best=true"], {"keep_best": True}),
        (["--config.keep_best", "--noconfig.keep_best"], {"keep_best": False}),
        (["--config.loss=Hinge"], {"loss": Hinge()}),
        (["--config.loss=Hinge(margin=2)"], {"loss": Hinge(2.0)}),
        (["--config.model=ResNet20"], {"model": ResNet(depth=20)}),
        (["--config.model.padding=VALID"], {"model": ResNet(width=32, padding="VALID")}),
        (["--config.model.stages=3,4"], {"model": ResNet(width=32, stages=(3, 4))}),
        (["--config.model.stages.0=9"], {"model": ResNet(width=32, stages=(9, 2))}),
        (["--config.model.num_classes=5"], {"model": ResNet(width=32, num_classes=5)}),
        (["--config.augment=()"], {"augment": ()}),
        (["--config.augment=(Flip, Crop(1))"], {"augment": (Flip(), Crop(1))}),
        (["--config.augment.0.padding=7"], {"augment": (Crop(7), Flip())}),
        (["--config.augment.0=Flip"], {"augment": (Flip(), Flip())}),
        (["--config.average=Average", "--config.average.decay=0.5"], {"average": Average(0.5)}),
        (["--config.optimizer.clip_norm=1"], {"optimizer": SGD(0.1, 1.0, momentum=0.8)}),
        (["--config.optimizer=Adam", "--config.optimizer.peak_lr=1"], {"optimizer": Adam(1.0)}),
        (["--config.anything=(Flip, 3)"], {"anything": (Flip(), 3)}),
    ],
)
def test_applies(argv, fields):
    new = changed(*argv)
    assert new == replace(BASE, **fields)
    assert config.to_text(new) == config.to_text(replace(BASE, **fields))
    config.check(new)


def test_none_replaces_an_optional_value():
    base = replace(BASE, average=Average(), optimizer=SGD(0.1, clip_norm=2.0))
    new = changed("--config.average=None", "--config.optimizer.clip_norm=None", base=base)
    assert new == replace(BASE, optimizer=SGD(0.1))


def test_an_int_for_a_float_becomes_a_float():
    assert type(changed("--config.optimizer.peak_lr=1").optimizer.peak_lr) is float
    assert type(changed("--config.epochs=1").epochs) is int


def test_order_does_not_matter():
    flags = [
        "--config.model.width=4", "--config.model=ResNet20", "--config.augment.1.padding=3",
        "--config.augment=(Flip, Crop)",
    ]  # fmt: skip
    want = replace(BASE, model=ResNet(depth=20, width=4), augment=(Flip(), Crop(3)))
    for order in itertools.permutations(flags):
        assert changed(*order) == want


def test_two_fields_that_depend_on_each_other_change_together():
    assert changed("--config.warmup=20", "--config.epochs=30").warmup == 20


def test_a_replaced_object_is_noted():
    result = config.override(BASE, ["--config.loss=Hinge", "--config.loss.margin=2"], NAMES)
    assert result.config.loss == Hinge(2.0)
    assert result.overridden == ("loss", "loss.margin")
    (note,) = result.notes
    assert "--config.loss=Hinge" in note and "Softmax(smoothing=0.1)" in note
    assert "\n" not in note


@dataclass(frozen=True)
class Chooses:
    """Is made of a choice that it needs, and a setting."""

    choice: int
    limit: int = 8


@dataclass(frozen=True)
class Defaults:
    """Its defaults differ from those of their own classes."""

    loss: Any = Softmax(smoothing=0.1)
    augment: tuple[Any, ...] = (Crop(padding=9), Flip())


KINDS = {**NAMES, "Chooses": Chooses}


@pytest.mark.parametrize(
    ("base", "argv"),
    [
        (replace(BASE, loss=Softmax()), ["--config.loss=Hinge"]),
        (BASE, ["--config.loss=Softmax(0.1)"]),  # as it was
        (BASE, ["--config.loss=Softmax(0.3)"]),  # set anew
        (BASE, ["--config.loss=Softmax(smoothing=0.0)"]),
        (BASE, ["--config.loss=Softmax", "--config.loss.smoothing=0.2"]),
        (Defaults(), ["--config.loss=Hinge"]),  # nobody set it
        (Defaults(), ["--config.augment.0=Flip"]),
        (Defaults(loss=Chooses(3)), ["--config.loss=Hinge"]),  # no setting of a Hinge
    ],
)
def test_nothing_lost_means_no_note(base, argv):
    assert config.override(base, argv, KINDS).notes == []


@pytest.mark.parametrize(
    ("base", "argv", "lost"),
    [
        (BASE, "--config.loss=Softmax", "Softmax(smoothing=0.1)"),
        (Defaults(Softmax(0.3)), "--config.loss=Hinge", "Softmax(smoothing=0.3)"),
        (Defaults(augment=(Crop(7), Flip())), "--config.augment.0=Flip", "Crop(padding=7)"),
        (Defaults(Chooses(3, limit=4)), "--config.loss=Hinge", "Chooses(limit=4)"),
        (Defaults(Chooses(3, limit=4)), "--config.loss=Chooses(5)", "Chooses(limit=4)"),
    ],
)
def test_what_was_set_and_is_lost_is_noted(base, argv, lost):
    (note,) = config.override(base, [argv], KINDS).notes
    assert note == f"{argv} discards the settings of {lost}"


BAD = [
    ("--config.optimizer.peak_lrr=1",
     "Unknown flag --config.optimizer.peak_lrr. Did you mean --config.optimizer.peak_lr?"),
    ("--config.optimizer.lr=1", "Did you mean --config.optimizer.peak_lr?"),
    ("--config.peak_lr=1", "Did you mean --config.optimizer.peak_lr?"),
    ("--config.optimzer.peak_lr=1", "Did you mean --config.optimizer.peak_lr?"),
    ("--epochs=1", "Did you mean --config.epochs?"),
    ("--config.epoch=1", "Did you mean --config.epochs?"),
    ("--config.optimizer.zzz=1",
     "Fields of config.optimizer, which is SGD(): clip_norm, decay, momentum, peak_lr; another"),
    ("--config.average.decay=1", "config.average is None"),
    ("--config.epochs.x=1", "config.epochs is 10"),
    ("--config.model.name=x", "Unknown flag --config.model.name."),
    ("--config.augment.5.padding=1", "Unknown flag --config.augment.5.padding."),
    ("--config.augment.1.padding=1", "Unknown flag --config.augment.1.padding."),
    ("--noconfig.epochs", "Unknown flag --noconfig.epochs."),
    ("--noconfig.keep_best=1", "takes no value"),
    ("--config.epochs", "--config.epochs needs a value"),
    ("--config.title --config.epochs=3", "needs a value"),
    ("--config.keep_best False", "--flag=False"),
    ("stray", "Unexpected argument 'stray'"),
    ("--flagfile=/nowhere/x", "--flagfile"),
    ("--config.optimizer.peak_lr=fast", "--config.optimizer.peak_lr=fast: must be float"),
    ("--config.optimizer.peak_lr=True", "must be float"),
    ("--config.optimizer.peak_lr=nan", "must be float"),
    ("--config.optimizer.peak_lr=1e999", "must be float"),
    ("--config.optimizer.peak_lr=None", "must be float"),
    ("--config.optimizer.peak_lr=-1", "--config.optimizer.peak_lr=-1: peak_lr must be positive"),
    ("--config.optimizer.clip_norm=none", "must be float | None"),
    ("--config.optimizer.decay=al", "must be 'all' | 'kernels', got 'al'. Did you mean all?"),
    ("--config.warmup=1.5", "must be int"),
    ("--config.warmup=True", "must be int"),
    ("--config.keep_best=2", "must be bool"),
    ("--config.keep_best=", "must be bool"),
    ("--config.warmup=50", "--config.warmup=50: warmup (50) must be at most epochs (10)"),
    ("--config.epochs=0", "--config.epochs=0: warmup (1) must be at most epochs (0)"),
    ("--config.model.stages=(1,x)", "must be tuple[int, ...]"),
    ("--config.augment=Flip", "write (Flip(),)"),
    ("--config.augment=(Flip,Hinge)", "must be Augment, got Hinge; choose from Crop, Flip"),
    ("--config.optimizer=Flip", "must be Optimizer, got Flip; choose from Adam, SGD"),
    ("--config.optimizer=SDG", "unknown name 'SDG'. Did you mean SGD?"),
    ("--config.optimizer=Zzzz", "Choose from Adam, SGD"),
    ("--config.optimizer=Optimizer", "unknown name 'Optimizer'. Choose from Adam, SGD"),
    ("--config.optimizer=None", "must be Optimizer"),
    ("--config.optimizer=SGD", "SGD needs peak_lr"),
    ("--config.loss=Flip", "must be Loss, got Flip"),
    ("--config.loss=Hinge(margin=-2)", "margin must be positive, got -2.0"),
    ("--config.model=ResNet20(dept=3)", "ResNet20 has no argument 'dept'. Did you mean depth?"),
    ("--config.anything=__import__('os').system('x')", "is not allowed here"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "message"), BAD)
def test_a_mistake_is_one_line(argv, message):
    with pytest.raises(config.ConfigError) as caught:
        changed(*argv.split(" "))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_flag_to_blame_is_named_alone():
    with pytest.raises(config.ConfigError) as caught:
        changed("--config.optimizer.momentum=0.5", "--config.optimizer.peak_lr=-1")
    assert str(caught.value).startswith("--config.optimizer.peak_lr=-1: ")


def test_a_huge_value_gives_a_bounded_line():
    with pytest.raises(config.ConfigError) as caught:
        changed("--config.epochs=" + "(" * 40000)
    assert len(str(caught.value)) < 2100


def test_line_breaks_in_a_value_stay_on_one_line():
    with pytest.raises(config.ConfigError) as caught:
        changed("--config.epochs=1\n2\x1b[0m")
    assert str(caught.value).isprintable()


def test_diff_goes_leaf_by_leaf():
    new = replace(BASE, optimizer=SGD(0.2, momentum=0.8), augment=(Crop(3), Flip()), loss=Hinge())
    assert config.diff(BASE, new) == [
        "loss: Softmax(smoothing=0.1) -> Hinge()",
        "augment.0.padding: 2 -> 3",
        "optimizer.peak_lr: 0.1 -> 0.2",
    ]
    assert config.diff(BASE, replace(BASE)) == []
    assert config.diff(BASE, replace(BASE, augment=())) == [
        "augment: (Crop(padding=2), Flip()) -> ()"
    ]
