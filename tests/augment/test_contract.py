"""What holds for every augmentation that leaves examples apart; test_mix.py has the others."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from noise import SIZE, batch, compiled, part, run

from cnn_jax.augment import (
    AlternatingFlip,
    AutoAugment,
    ColorJitter,
    Cutout,
    Flip,
    Jitter,
    RandAugment,
    RandomCrop,
    RandomErasing,
    TrivialAugment,
)

EVERY = [
    RandomCrop(2),
    RandomCrop(2, fill="reflect"),
    Flip(),
    AlternatingFlip(),
    Cutout(3),
    Cutout(3, color=(9,), whole=True),
    RandomErasing(),
    Jitter(),
    ColorJitter(),
    AutoAugment(),
    RandAugment(),
    TrivialAugment(),
]


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_what_is_not_an_image_is_left_alone(augment):
    given = batch()
    out = compiled(augment)(0, given)
    assert out.image.dtype == jnp.uint8
    assert out.image.shape == given.image.shape
    for name in ("label", "index", "epoch", "mask"):
        np.testing.assert_array_equal(getattr(out, name), getattr(given, name))


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_an_example_does_not_depend_on_its_batch(augment):
    """Shuffled, or alone with one other, an example comes to what it came to in the whole batch."""
    given = batch()
    whole = run(augment, given)
    order = np.random.default_rng(0).permutation(SIZE)
    np.testing.assert_array_equal(run(augment, part(given, order)), whole[order])
    few = np.array([31, 4])
    np.testing.assert_array_equal(run(augment, part(given, few)), whole[few])


@pytest.mark.parametrize("augment", [a for a in EVERY if a != AlternatingFlip()], ids=repr)
def test_randomness_is_the_keys(augment):
    given = batch()
    first, again, other = (run(augment, given, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("augment", [ColorJitter(), AutoAugment(), RandAugment(), TrivialAugment()])
def test_what_does_operations_on_images_needs_them_as_u8(augment):
    mixed = dataclasses.replace(batch(), image=batch().image.astype(np.float32))
    with pytest.raises(ValueError, match="need u8 images of 1 or 3 channels, got float32"):
        jax.eval_shape(compiled(augment), 0, mixed)


def test_one_channel():
    grey = dataclasses.replace(batch(), image=batch().image[..., :1])
    for augment in EVERY:
        out = jax.eval_shape(compiled(augment), 0, grey)
        assert out.image.shape == grey.image.shape


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: RandomCrop(padding=-1), "padding"),
        (lambda: RandomCrop(fill="mean"), "fill"),
        (lambda: Jitter(brightness=-0.1), "brightness"),
        (lambda: Jitter(contrast=1.0), "contrast"),
        (lambda: Cutout(size=0), "size"),
        (lambda: Cutout(size=float("nan")), "size"),
        (lambda: Cutout(color=(256,)), "color"),
        (lambda: Cutout(color=()), "color"),
        (lambda: Cutout(6, whole=True)(jax.random.key(0), batch()), "size"),
        (lambda: Cutout(2, color=(1, 2))(jax.random.key(0), batch()), "color"),
        (lambda: RandomErasing(probability=-0.1), "probability"),
        (lambda: RandomErasing(area=(0.4, 0.02)), "area"),
        (lambda: RandomErasing(area=(0.0, 0.02)), "area"),
        (lambda: RandomErasing(ratio=0), "ratio"),
        (lambda: RandomErasing(ratio=1.1), "ratio"),
        (lambda: RandomErasing(color=(1, -2)), "color"),
        (lambda: ColorJitter(brightness=-0.1), "brightness"),
        (lambda: ColorJitter(contrast=float("inf")), "contrast"),
        (lambda: ColorJitter(saturation=-0.1), "saturation"),
        (lambda: ColorJitter(hue=-0.1), "hue"),
        (lambda: ColorJitter(hue=0.6), "hue"),
        (lambda: RandAugment(operations=0), "operations"),
        (lambda: RandAugment(magnitude=31), "magnitude"),
        (lambda: RandAugment(fill=256), "fill"),
        (lambda: AutoAugment(fill=-1), "fill"),
        (lambda: TrivialAugment(fill=256), "fill"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=rf"^{field}(\[\d\])? must"):
        build()
