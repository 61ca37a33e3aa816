from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from cnn_jax.data import Split
from cnn_jax.training.evaluator import BatchScorer, Evaluation, Evaluator


@pytest.fixture(scope="module")
def plan(plan_of):
    return plan_of()


@pytest.fixture(scope="module")
def variables(plan, state_of):
    """A new net's, with running statistics as if it had been trained."""
    state, random = state_of(plan), np.random.default_rng(0)
    moved = jax.tree.map(
        lambda x: x + random.uniform(0, 0.5, x.shape).astype(np.float32), state.batch_stats
    )
    return state.replace(batch_stats=moved).variables


@pytest.fixture(scope="module")
def expected(plan, variables, dataset):
    """All scores in one go, and what they are worth by NumPy in float64."""
    pixels = ((dataset.test.images / 255 - dataset.mean) / dataset.std).astype(np.float32)
    apply = jax.jit(functools.partial(plan.model.apply, train=False))
    scores = np.asarray(apply(variables, pixels), np.float64)
    labels = dataset.test.labels
    exponents = np.exp(scores)
    right = exponents[np.arange(37), labels] / exponents.sum(1)
    return scores, -np.log(right).mean(), (scores.argmax(1) == labels).mean()


@pytest.mark.parametrize(
    ("count", "batch_size"), [(1, 37), (1, 1), (1, 10), (1, 500), (4, 37), (4, 5), (4, 12), (4, 1)]
)
def test_row_20_every_example_counts_once_in_batches_of_any_size(
    plan, variables, dataset, expected, devices, count, batch_size
):
    devices(count)
    result = Evaluator(plan, variables, dataset.test, batch_size)(variables)
    scores, loss, accuracy = expected
    np.testing.assert_allclose(result.logits, scores, rtol=1e-4, atol=1e-5)
    assert result.loss == pytest.approx(loss, rel=1e-6)
    assert result.accuracy == accuracy
    np.testing.assert_array_equal(result.labels, dataset.test.labels)
    assert result.confusion().sum() == 37
    assert result.confusion().trace() / 37 == accuracy
    assert result.means() == {"loss": result.loss, "accuracy": result.accuracy}


def test_one_evaluator_takes_any_weights(plan, variables, dataset):
    evaluator = Evaluator(plan, variables, dataset.test)
    first = evaluator(variables)
    zero = evaluator(jax.tree.map(np.zeros_like, variables))
    assert zero.loss == pytest.approx(np.log(10))
    assert zero.accuracy == (dataset.test.labels == 0).mean()  # equal scores: the first class
    again = evaluator(variables)
    np.testing.assert_array_equal(again.logits, first.logits)


@pytest.mark.parametrize("count", [1, 4])
def test_every_view_of_an_example_counts(plan_of, variables, dataset, devices, count):
    """Reference: the images are mirrored and shifted as uint8, and scored one kind at a time."""
    devices(count)
    plan = plan_of(tta="mirror_translate")
    apply = jax.jit(functools.partial(plan.model.apply, train=False))

    def scores(pixels):
        image = ((pixels / 255 - dataset.mean) / dataset.std).astype(np.float32)
        return np.asarray(apply(variables, image), np.float64)

    pixels = dataset.test.images
    wide = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    parts = [(pixels, 0.5), (wide[:, :8, :8], 0.25), (wide[:, 2:, 2:], 0.25)]
    expected = sum(
        weight / 2 * scores(way) for part, weight in parts for way in (part, part[:, :, ::-1])
    )
    assert abs(expected - scores(pixels)).max() > 1e-3
    result = Evaluator(plan, variables, dataset.test, 10)(variables)
    np.testing.assert_allclose(result.logits, expected, rtol=1e-4, atol=1e-5)
    assert result.accuracy == (expected.argmax(1) == dataset.test.labels).mean()


def test_a_single_example(plan, variables, dataset, devices):
    devices(4)
    one = Split(dataset.test.images[:1], dataset.test.labels[:1])
    result = Evaluator(plan, variables, one)(variables)
    assert result.logits.shape == (1, 10)
    assert result.accuracy in (0, 1)


def test_confusion_by_hand():
    """Rows are what the examples are, columns what they were taken for."""
    logits = np.eye(4)[[0, 1, 1, 0, 0]]
    result = Evaluation(0.0, 0.6, logits, np.array([0, 0, 1, 0, 2], np.int32))
    expected = [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(result.confusion(), expected)
    np.testing.assert_allclose(result.per_class(), [2 / 3, 1, 0, np.nan])
    np.testing.assert_allclose(result.precision(), [2 / 3, 1 / 2, np.nan, np.nan])
    np.testing.assert_allclose(result.f1(), [2 / 3, 2 / 3, 0, np.nan])


def evaluation(logits, labels) -> Evaluation:
    return Evaluation(0.0, 0.0, np.asarray(logits, np.float32), np.array(labels, np.int32))


def test_balanced_accuracy_by_hand():
    """Recalls of 3/4, 0/1 and 1/2; the fourth class has no examples. Accuracy is 4/7."""
    predicted, labels = [0, 0, 0, 1, 0, 2, 3], [0, 0, 0, 0, 1, 2, 2]
    result = evaluation(np.eye(4)[predicted], labels)
    assert result.balanced_accuracy() == pytest.approx((3 / 4 + 0 + 1 / 2) / 3)
    assert type(result.balanced_accuracy()) is float


def test_top_k_by_hand():
    """The labels' places are 1, 3, 2 and 4."""
    logits = [[9, 1, 2, 3], [1, 9, 3, 2], [1, 2, 3, 0], [4, 3, 2, 1]]
    result = evaluation(logits, [0, 3, 1, 3])
    assert [result.top(k) for k in (1, 2, 3, 4, 5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_label_whose_score_is_no_number_is_among_no_highest_ones():
    result = evaluation([[np.nan, 1.0, 2.0], [np.nan] * 3, [1.0, np.nan, 2.0]], [0, 1, 2])
    assert [result.top(k) for k in (1, 2, 3)] == [0, 1 / 3, 1 / 3]


def test_of_equal_scores_the_first_class_counts_as_the_highest():
    """As in accuracy, which takes the first of the highest scores."""
    result = evaluation(np.zeros((4, 4)), [0, 1, 2, 3])
    assert [result.top(k) for k in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]
    random = np.random.default_rng(0)
    result = evaluation(random.integers(0, 4, (500, 9)), random.integers(0, 9, 500))
    order = np.argsort(-result.logits, axis=1, kind="stable")
    for k in range(1, 10):
        expected = (order[:, :k] == result.labels[:, None]).any(1).mean()
        assert result.top(k) == pytest.approx(expected)
    assert result.top(1) == (result.logits.argmax(1) == result.labels).mean()


@pytest.mark.parametrize(
    ("counts", "imbalanced"),
    [
        ((4, 2, 3), False),
        ((5, 2, 3), True),
        ((4, 0, 2), False),
        ((3, 0, 0, 7), True),
        ((6,), False),
    ],
)
def test_imbalanced_is_a_factor_of_over_two_between_classes_with_examples(counts, imbalanced):
    labels = np.repeat(np.arange(len(counts)), counts)
    assert evaluation(np.zeros((len(labels), len(counts))), labels).imbalanced() is imbalanced


@pytest.mark.parametrize("count", [1, 4])
def test_a_scorer_takes_any_number_of_images(plan, variables, dataset, expected, devices, count):
    devices(count)
    scorer = BatchScorer(plan, variables, 10)
    for images in (1, 10, 37):
        np.testing.assert_allclose(
            scorer(dataset.test.images[:images]), expected[0][:images], rtol=1e-4, atol=1e-5
        )
