"""Messages name a model as the user wrote it; files keep the name of its class."""

import pytest

from cnn_jax import config, models
from cnn_jax.config.names import NAMES

HELPERS = {"StagedResNet", "StagedPreActResNet", "BottleneckResNet"}


@pytest.mark.parametrize("name", sorted(set(models.__all__) - HELPERS))
def test_a_message_names_no_helper_class(name):
    model = getattr(models, name)(num_classes=7)
    text = config.to_text(model, NAMES)
    assert not HELPERS & config.called(text)
    assert config.from_text(text, NAMES) == model
    if not isinstance(getattr(models, name), type):
        assert text == f"{name}(num_classes=7)"


def test_a_message_adds_what_a_function_leaves_at_its_default():
    assert config.to_text(models.ResNet34(width=8), NAMES) == "ResNet34(width=8)"
    assert config.to_text(models.StagedResNet(blocks=(1, 1)), NAMES) == (
        "StagedResNet(blocks=(1, 1))"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ResNet18(widht=3)", "ResNet18 has no argument 'widht'. Did you mean width?"),
        ("PreActResNet50(blocks=(1,))", "PreActResNet50 is given 'blocks' twice"),
    ],
)
def test_an_error_names_the_function(text, message):
    with pytest.raises(config.ConfigError) as caught:
        config.from_text(text, NAMES)
    assert str(caught.value) == message


def test_files_name_the_class():
    assert config.to_text(models.ResNet18()) == "StagedResNet()"
    assert config.from_text("StagedResNet(blocks=(2, 2, 2, 2))", NAMES) == models.ResNet18()
    assert config.diff(models.StagedResNet(), models.ResNet18(), NAMES) == []


def test_a_printed_config_calls_the_function():
    printed = config.to_recipe(models.ResNet50(width=8), names=NAMES)
    scope = {}
    exec(printed, scope)
    assert "ResNet50(width=8)" in printed
    assert scope["experiment"] == models.ResNet50(width=8)
