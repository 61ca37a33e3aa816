"""The policies against all that Pillow may make of an image, with its probability."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from noise import batch, run
from pillow_reference import exact

from cnn_jax.augment import AutoAugment, RandAugment, TrivialAugment

SIDE = 32
UNSIGNED = ("posterize", "solarize", "autocontrast", "equalize", "invert", "identity")


def noise(size):
    """Of values from 30 to 219, and not all of them: every operation does something to it."""
    given = batch(size, height=SIDE, width=SIDE)
    return given.replace(image=given.image // 4 * 3 + 30)


def outcomes(image, operations):
    """What may come of an image, by its bytes: {bytes: [(name, probability), ...]}."""
    made = defaultdict(list)
    for name, magnitude, probability in operations:
        made[exact(name, magnitude, image).tobytes()].append((name, probability))
    return made


def chosen(operations, given, outs) -> Counter:
    """How often each operation was done; fails where an outcome is none of theirs."""
    counts = Counter()
    for image, out in zip(given.image, outs, strict=True):
        names = outcomes(image, operations)[out.tobytes()]
        assert names
        # Where several come to the same, each has its share.
        total = sum(probability for _, probability in names)
        for name, probability in names:
            counts[name] += probability / total
    return counts


def fourteen(levels) -> list[tuple[str, float, float]]:
    """(name, magnitude, probability): each of 14 as likely, then each level, then each way."""
    done = []
    for level in levels:
        for name, (magnitude, neutral) in level.items():
            for sign in (1,) if name in UNSIGNED else (1, -1):
                signed = neutral + sign * magnitude if magnitude is not None else None
                share = 1 / 14 / len(levels) / (1 if name in UNSIGNED else 2)
                done.append((name, signed, share))
    return done


# By hand: 9 of 30 is 0.3 of full strength. 0.3 x 14.5 pixels, 4 x 0.3 = 1.2 bits.
RAND_AUGMENT_9 = {
    "identity": (None, 0),
    "shear_x": (0.09, 0),
    "shear_y": (0.09, 0),
    "translate_x": (4, 0),
    "translate_y": (4, 0),
    "rotate": (9, 0),
    "brightness": (0.27, 1),
    "saturation": (0.27, 1),
    "contrast": (0.27, 1),
    "sharpness": (0.27, 1),
    "posterize": (7, 0),
    "solarize": (178.5, 0),
    "autocontrast": (None, 0),
    "equalize": (None, 0),
}


def wide(level: int) -> dict[str, tuple[float | None, float]]:
    """TrivialAugment's level of 0 to 30."""
    return {
        "identity": (None, 0),
        "shear_x": (0.033 * level, 0),
        "shear_y": (0.033 * level, 0),
        "translate_x": (32 * level // 30, 0),
        "translate_y": (32 * level // 30, 0),
        "rotate": (4.5 * level, 0),
        "brightness": (0.033 * level, 1),
        "saturation": (0.033 * level, 1),
        "contrast": (0.033 * level, 1),
        "sharpness": (0.033 * level, 1),
        "posterize": (8 - (level + 2) // 5, 0),
        "solarize": (255 - 8.5 * level, 0),
        "autocontrast": (None, 0),
        "equalize": (None, 0),
    }


def assert_even(counts: Counter, number: int) -> None:
    assert len(counts) == 14
    expected = number / 14
    for name, count in counts.items():
        assert abs(count - expected) < 4 * expected**0.5, name


def test_one_operation_of_rand_augment_is_one_of_fourteen():
    given = noise(400)
    operations = fourteen([RAND_AUGMENT_9])
    outs = run(RandAugment(operations=1), given)
    assert_even(chosen(operations, given, outs), 400)
    for way in (9, -9):
        pairs = zip(given.image, outs, strict=True)
        turned = [(exact("rotate", way, image) == out).all() for image, out in pairs]
        assert 4 < sum(turned) < 30  # 14 on average


def test_two_operations_of_rand_augment_are_done_one_after_the_other():
    given = noise(6)
    operations, single = fourteen([RAND_AUGMENT_9]), 0
    for image, out in zip(given.image, run(RandAugment(), given, seed=3), strict=True):
        firsts = [exact(name, magnitude, image) for name, magnitude, _ in operations]
        seconds = (outcomes(first, operations) for first in firsts)
        assert any(out.tobytes() in second for second in seconds)
        single += any((first == out).all() for first in firsts)
    assert single < 3  # one of them may be to do nothing


def test_trivial_augment_is_any_of_fourteen_at_any_level():
    given = noise(30)
    operations = fourteen([wide(level) for level in range(31)])
    assert len(chosen(operations, given, run(TrivialAugment(), given))) > 7


def test_trivial_augment_goes_to_its_strongest_level():
    """Either way with a probability of 1 in 14 x 31; 3 levels of bits, 4 of solarize are alike."""
    given, counts = noise(400), Counter()
    strongest = [("posterize", 2), ("rotate", 135), ("rotate", -135), ("solarize", 0)]
    strongest += [("shear_x", 0.99), ("shear_y", -0.99), ("translate_x", 32), ("contrast", 1.99)]
    for seed in range(5):
        for image, out in zip(given.image, run(TrivialAugment(), given, seed), strict=True):
            for name, magnitude in strongest:
                counts[name] += (out == exact(name, magnitude, image)).all()
    for name, levels in {"posterize": 3, "solarize": 4, "rotate": 1}.items():
        assert 0 < counts[name] < 3 * levels * 2000 / 14 / 31
    # Of two ways, and of four that come to nothing but the fill.
    assert 0 < counts["shear_x"] < 3 * 1000 / 14 / 31
    assert 0 < counts["shear_y"] < 3 * 1000 / 14 / 31
    assert 0 < counts["translate_x"] < 3 * 2000 / 14 / 31
    assert 0 < counts["contrast"] < 3 * 1000 / 14 / 31


# The policy as published: operation, probability in tenths and level of each half. I invert, C
# contrast, R rotate, T translate_x, Y translate_y, s shear_y, S sharpness, A autocontrast, E
# equalize, P posterize, c saturation, B brightness, L solarize.
POLICY = [
    "I1- C26", "R72 T39", "S81 S93", "s58 Y79", "A5- E9-", "s27 P37", "c43 B67", "S39 B79",
    "E6- E5-", "C67 S65", "c77 T58", "E3- A4-", "Y43 S26", "B96 c28", "L52 I0-", "E2- A6-",
    "E2- E6-", "c99 E6-", "A8- L28", "B13 c70", "L45 A9-", "Y99 Y79", "A9- L83", "E8- I1-",
    "Y79 A9-",
]  # fmt: skip
LETTERS = {
    "I": "invert", "C": "contrast", "R": "rotate", "T": "translate_x", "Y": "translate_y",
    "s": "shear_y", "S": "sharpness", "A": "autocontrast", "E": "equalize", "P": "posterize",
    "c": "saturation", "B": "brightness", "L": "solarize",
}  # fmt: skip


def halves(code: str) -> list[tuple[str, float | None, float]]:
    """(name, magnitude, probability) of what may come of half of a sub-policy."""
    name, probability = LETTERS[code[0]], int(code[1]) / 10
    level = 0 if code[2] == "-" else int(code[2])
    magnitude = {
        "contrast": 0.1 * level,
        "saturation": 0.1 * level,
        "brightness": 0.1 * level,
        "sharpness": 0.1 * level,
        "rotate": 30 * level / 9,
        "translate_x": int(14.5017 * level / 9),
        "translate_y": int(14.5017 * level / 9),
        "shear_y": 0.3 * level / 9,
        "posterize": 8 - round(4 * level / 9),
        "solarize": 255 - 255 * level / 9,
    }.get(name)
    if name in UNSIGNED:
        return [("identity", None, 1 - probability), (name, magnitude, probability)]
    neutral = 1 if name in ("contrast", "saturation", "brightness", "sharpness") else 0
    ways = [(name, neutral + sign * magnitude, probability / 2) for sign in (1, -1)]
    return [("identity", None, 1 - probability), *ways]


def test_auto_augment_is_the_published_policy():
    """Each outcome is one of those of the 25 pairs; as many as expected are unchanged."""
    assert len(POLICY) == 25
    given = noise(60)
    unchanged, expected, variance = 0, 0.0, 0.0
    for image, out in zip(given.image, run(AutoAugment(), given), strict=True):
        likely = Counter()
        for first, second in map(str.split, POLICY):
            for name, magnitude, p in halves(first):
                half = exact(name, magnitude, image)
                for following, strength, q in halves(second):
                    likely[exact(following, strength, half).tobytes()] += p * q / 25
        assert likely.total() == pytest.approx(1)
        assert likely[out.tobytes()] > 0
        alike = likely[image.tobytes()]
        unchanged += out.tobytes() == image.tobytes()
        expected += alike
        variance += alike * (1 - alike)
    assert abs(unchanged - expected) < 3 * variance**0.5
