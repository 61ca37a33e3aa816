from __future__ import annotations

import os

import pytest

from cnn_jax import config

from . import toys
from .toys import BASE, NAMES, SGD, Average, Crop, Experiment, Flip, Hinge, ResNet, Wrapper

CONFIGS = [
    BASE,
    Experiment(model=ResNet()),
    Experiment(model=Wrapper(inner=toys.ResNet20(num_classes=7), scale=2.5), loss=Hinge(0.5)),
    Experiment(model=ResNet(stages=(3,), padding="VALID"), augment=(Flip(),), average=Average()),
    Experiment(
        model=ResNet(stages=()), title="a 'b' \"c\"\n\\ é", keep_best=True, epochs=0.1 + 1.2
    ),
    Experiment(model=ResNet(), optimizer=SGD(1e-30, clip_norm=5e-324), warmup=-3),
    Experiment(model=ResNet(), anything=((1, -2.5), None, Crop(padding=0), "None")),
]


@pytest.mark.parametrize("original", CONFIGS)
def test_text_reads_back_equal(original):
    text = config.to_text(original)
    again = config.from_text(text, NAMES)
    assert again == original
    assert config.to_text(again) == text
    assert config.from_text(config.to_pretty(original, width=20), NAMES) == original
    config.check(again)


def test_text_holds_only_what_differs_from_the_default():
    assert config.to_text(ResNet(width=32)) == "ResNet(width=32)"
    assert config.to_text(toys.ResNet20()) == "ResNet(depth=20)"
    assert config.to_text((Flip(),)) == "(Flip(),)"
    assert config.to_text(Wrapper(ResNet(), scale=1)) == "Wrapper(inner=ResNet())"  # 1.0
    unsure = Experiment(model=ResNet(), keep_best=0)
    assert config.to_text(unsure) == "Experiment(model=ResNet(), keep_best=0)"  # False


def test_pretty_breaks_lines_and_nests():
    experiment = Experiment(model=ResNet(width=1), augment=(Crop(1),))
    assert config.to_pretty(experiment, width=31) == (
        "Experiment(\n    model=ResNet(width=1),\n    augment=(Crop(padding=1),),\n)"
    )
    assert "    augment=(\n        Crop(padding=1),\n    ),\n" in config.to_pretty(experiment, 30)


def test_a_printed_recipe_runs():
    scope = {}
    exec(config.to_recipe(BASE, doc="Printed."), scope)
    assert scope["experiment"] == BASE
    assert scope["__doc__"] == "Printed."


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ResNet20", ResNet(depth=20)),
        ("ResNet20(width=4)", ResNet(depth=20, width=4)),
        ("ResNet(1, 2)", ResNet(depth=1, width=2)),
        ("ResNet(padding=VALID, stages=[3])", ResNet(padding="VALID", stages=(3,))),
        ("(Flip, Crop(2))", (Flip(), Crop(2))),
        ("SGD(peak_lr=1)", SGD(1.0)),
        (" -3 ", -3),
        ("()", ()),
        ("'it'", "it"),
    ],
)
def test_reads(text, value):
    assert config.to_text(config.from_text(text, NAMES)) == config.to_text(value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {}')",
        "__import__('os')",
        "eval('1')",
        "open('{}', 'w')",
        "Flip.__class__",
        "Flip().__class__",
        "(lambda: 1)()",
        "lambda: 1",
        "[x for x in (1, 2)]",
        "{{1: 2}}",
        "{{1}}",
        "1 + 1",
        "2 ** 9 ** 9",
        "not 1",
        "-True",
        "-Flip",
        "~1",
        "f'{{1}}'",
        "b'x'",
        "1j",
        "...",
        "Flip() if 1 else 2",
        "Flip()()",
        "(x := 1)",
        "SGD(*(1,))",
        "SGD(**Flip())",
        "SGD[0]",
        "1 < 2",
        "await Flip()",
        "import os",
        "",
        "(",
        "\x00",
    ],
)
def test_refuses_whatever_is_no_constructor_expression(text, tmp_path):
    target = tmp_path / "made"
    with pytest.raises(config.ConfigError) as caught:
        config.from_text(text.format(target), NAMES)
    assert not os.path.exists(target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["(" * 5000 + ")" * 5000, "-" * 20000 + "1", "Crop(" * 3000, "1" * 40000, "1," * 10**6,
     "(1," * 150 + ")" * 150 + ".x" * 5000],
)  # fmt: skip
def test_deep_and_long_input_is_refused_in_a_short_line(text):
    with pytest.raises(config.ConfigError) as caught:
        config.from_text(text, NAMES)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ResNet2O", ["unknown name 'ResNet2O'", "Did you mean ResNet20?"]),
        ("SGD", ["SGD needs peak_lr", "SGD(peak_lr=...)"]),
        ("SGD(peak=1)", ["SGD has no argument 'peak'", "peak_lr"]),
        ("SGD(1, peak_lr=1)", ["multiple values", "peak_lr"]),
        ("Flip(1)", ["Flip", "too many"]),
        ("SGD('a')", ["SGD.peak_lr", "must be float", "'a'"]),
        ("SGD(True)", ["SGD.peak_lr", "must be float", "True"]),
        ("SGD(1e999)", ["SGD.peak_lr", "finite"]),
        ("SGD(-1)", ["peak_lr must be positive, got -1.0"]),
        ("ResNet20(widht=3)", ["ResNet20 has no argument 'widht'", "width"]),
        ("ResNet20(depth=3)", ["depth", "twice"]),
        ("ResNet20(width='x')", ["width", "must be int", "'x'"]),
        ("ResNet(name='x')", ["ResNet has no argument 'name'"]),
        ("ResNet(padding=SAM)", ["ResNet.padding", "'SAME' | 'VALID'"]),
        ("Wrapper(inner=Flip)", ["Wrapper.inner", "must be Module", "ResNet20"]),
    ],
)
def test_says_what_is_wrong(text, parts):
    with pytest.raises(config.ConfigError) as caught:
        config.from_text(text, NAMES)
    for part in parts:
        assert part in str(caught.value)


def test_a_function_must_make_a_config():
    with pytest.raises(config.ConfigError, match="not a config object"):
        config.from_text("number", {"number": lambda: 3})


def test_what_cannot_be_written_is_refused():
    with pytest.raises(config.ConfigError, match="can't be written"):
        config.to_text(ResNet(dtype=int))


def test_public_names_are_classes_and_functions_of_a_module():
    names = config.public_names(toys)
    assert {"ResNet", "ResNet20", "Flip", "SGD"} <= set(names)
    assert not {"BASE", "NAMES", "Literal", "Any", "dataclass", "Loss"} & set(names)
    assert "Optimizer" not in names, "a base class makes nothing"
