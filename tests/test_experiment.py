from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import config, models
from cnn_jax.config.names import NAMES
from cnn_jax.data import Shapes
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.data.resident import Resident
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.losses import MulticlassHinge, Softmax
from cnn_jax.optim import (
    SAM,
    SGD,
    Accumulate,
    Adam,
    Constant,
    Cosine,
    Linear,
    Lookahead,
    LookaheadSGD,
    MultiStep,
    Muon,
    Plain,
    ScheduleFreeSGD,
)
from cnn_jax.setup import Setup
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import state_shapes
from cnn_jax.training.step import train_step

FACTS = DataFacts(
    name="cifar10",
    classes=tuple("abcdefghij"),
    image_shape=(32, 32, 3),
    mean=(0.5, 0.4, 0.6),
    std=(0.3, 0.2, 0.25),
    train=50_000,
    validation=0,
    test=10_000,
    fingerprint="0",
)


def plan(facts=FACTS, **fields) -> Plan:
    defaults = {"data": Shapes(), "model": models.LeNet()}
    return Plan.of(Experiment(**(defaults | fields)), facts)


@pytest.mark.parametrize(
    ("train", "batch_size", "epochs", "per_epoch", "total"),
    [
        (50_000, 128, 200, 390, 78_000),  # 80 examples of each epoch are left over
        (50_000, 2000, 8, 25, 200),
        (50_000, 500, 4.5, 100, 450),
        (100, 10, 0.25, 10, 2),
        (100, 10, 0.26, 10, 3),
        (100, 10, 0.001, 10, 1),  # never no step at all
        (103, 10, 2, 10, 20),
        (7, 7, 3, 1, 3),
    ],
)
def test_epochs_become_steps(train, batch_size, epochs, per_epoch, total):
    facts = dataclasses.replace(FACTS, train=train)
    made = plan(facts, batch_size=batch_size, epochs=epochs)
    assert (made.steps_per_epoch, made.total_steps) == (per_epoch, total)


@pytest.mark.parametrize(
    ("train", "batch_size", "epochs", "per_epoch", "total", "partial", "examples"),
    [
        (50_000, 128, 2, 391, 782, 80, 100_000),
        (50_000, 128, 1.5, 391, 586, 80, 50_000 + 195 * 128),  # 586.5 steps: to the even number
        (50_000, 2000, 8, 25, 200, 0, 400_000),
        (100, 30, 0.5, 4, 2, 0, 60),  # the run ends before the epoch's last batch
        (100, 30, 1, 4, 4, 10, 100),
        (103, 51, 3, 3, 9, 1, 309),
        (7, 7, 3, 1, 3, 0, 21),
    ],
)
def test_epochs_of_all_images_become_steps(
    train, batch_size, epochs, per_epoch, total, partial, examples
):
    facts = dataclasses.replace(FACTS, train=train)
    made = plan(facts, batch_size=batch_size, epochs=epochs, drop_last=False)
    assert (made.steps_per_epoch, made.total_steps) == (per_epoch, total)
    assert (made.partial_batch, made.examples(total)) == (partial, examples)


def test_examples_of_steps_that_leave_out_the_last_batch():
    made = plan(batch_size=128, epochs=2)
    assert (made.partial_batch, made.examples_per_epoch) == (0, 49_920)
    assert [made.examples(step) for step in (0, 1, 390, 391, 780)] == [
        *(0, 128, 49_920),
        *(50_048, 99_840),
    ]


@pytest.mark.parametrize(
    ("fields", "rates"),
    [
        # 50,000 / 500 = 100 steps an epoch, 400 in all
        ({"schedule": Constant()}, {0: 0.4, 399: 0.4}),
        ({"schedule": Linear()}, {0: 0.4, 100: 0.3, 399: 0.001}),
        ({"schedule": Cosine()}, {0: 0.4, 200: 0.2}),
        ({"schedule": Linear(warmup=1)}, {0: 0.004, 49: 0.2, 99: 0.4, 100: 0.4, 250: 0.2}),
        ({"schedule": MultiStep()}, {199: 0.4, 200: 0.04, 300: 0.004}),
        ({"schedule": Constant(), "optimizer": SGD(peak_lr=0.1)}, {0: 0.1}),
    ],
)
def test_learning_rate_worked_out_by_hand(fields, rates):
    """0.1 per 125 examples at a batch of 500 is 0.4."""
    defaults = {"optimizer": SGD(peak_lr=0.1, per_batch=125), "batch_size": 500, "epochs": 4}
    made = plan(**(defaults | fields))
    got = [made.learning_rate(step) for step in rates]
    np.testing.assert_allclose(got, list(rates.values()), rtol=1e-5)


def test_another_batch_or_length_moves_everything_along():
    """Half the batch: half the rate, twice the steps, drops and warm-up at twice the step.

    A warm-up reaches a share at the end of a step: of step 1 where the other's is that of step 0.
    """
    fields = {
        "optimizer": SGD(peak_lr=0.1, per_batch=500),
        "schedule": MultiStep(warmup=1),
        "epochs": 4,
    }
    whole, half = plan(batch_size=500, **fields), plan(batch_size=250, **fields)
    assert (whole.total_steps, half.total_steps) == (400, 800)
    for step in (10, 99, 100, 249, 250, 324, 325, 399):
        same = 2 * step + (step < 100)
        assert half.learning_rate(same) == pytest.approx(whole.learning_rate(step) / 2)


def test_the_rate_that_is_reported_is_the_rate_that_is_taken():
    made = plan(
        optimizer=SGD(peak_lr=0.1, per_batch=125, momentum=0.0),
        schedule=Cosine(warmup=1),
        batch_size=10_000,
        epochs=3,
    )
    params = jnp.float32(0)
    state, update = made.tx.init(params), jax.jit(made.tx.update)
    for step in range(made.total_steps):
        change, state = update(jnp.float32(1), state, params)
        assert float(change) == pytest.approx(-made.learning_rate(step), rel=1e-5, abs=1e-7)


def test_muon_rests_the_whitening_bias_at_its_fraction_of_the_run():
    made = plan(optimizer=Muon(whitening_until=0.5), batch_size=5000, epochs=1)
    params = {"whitening": {"bias": jnp.ones(2)}}
    state, update, moves = made.tx.init(params), jax.jit(made.tx.update), []
    for _ in range(made.total_steps):
        change, state = update(params, state, params)
        moves.append(float(abs(change["whitening"]["bias"]).max()))
    assert min(moves[:5]) > 1
    assert max(moves[5:]) < 1e-3


def test_what_the_data_decides_is_filled_in():
    made = plan()
    assert made.model == models.LeNet(num_classes=10)
    assert made.normalize == Normalize(FACTS.mean, FACTS.std)
    assert made.experiment.model == models.LeNet()  # and not in what the recipe states
    facts = dataclasses.replace(FACTS, classes=("cat", "dog"))
    assert plan(facts).model.num_classes == 2
    assert plan(normalize=Normalize(mean=(0.1, 0.1, 0.1))).normalize.mean == (0.1, 0.1, 0.1)
    assert plan(model=models.LeNet(num_classes=10)).model.num_classes == 10


def test_a_model_of_one_s_own_needs_no_number_of_classes():
    class Mine(nn.Module):
        @nn.compact
        def __call__(self, image, *, train):
            return nn.Dense(10)(image.mean(axis=(1, 2)))

    assert plan(model=Mine()).model == Mine()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 50_001}, "batch_size must be at most the 50000 training examples"),
        ({"keep_best": True}, "keep_best needs validation images"),
        ({"select_by": "balanced_accuracy"}, "select_by needs keep_best or patience"),
        (
            {"sampling": "balanced", "loss": Softmax(class_weights="balanced")},
            "sampling must be uniform with loss.class_weights",
        ),
        ({"loss": Softmax(class_weights="balanced")}, "loss.class_weights needs the number of"),
        ({"model": models.LeNet(num_classes=7)}, "model.num_classes must be the 10 of cifar10"),
        ({"schedule": Linear(warmup=10)}, "schedule.warmup must be shorter"),
        ({"normalize": Normalize(mean=(0.5,))}, "normalize.mean must have 3 values"),
        ({"optimizer": ScheduleFreeSGD(), "ema": 0.9}, "ema must be 0 with ScheduleFreeSGD"),
        (
            {"lookahead": Lookahead(interval=101), "epochs": 0.25},
            "lookahead.interval must be at most",
        ),
        (
            {"optimizer": LookaheadSGD(interval=101), "epochs": 0.25},
            "optimizer.interval must be at most",
        ),
        (
            {"optimizer": LookaheadSGD(), "lookahead": Lookahead()},
            "lookahead must be None with LookaheadSGD",
        ),
        (
            {"optimizer": ScheduleFreeSGD(), "lookahead": Lookahead()},
            "lookahead must be None with ScheduleFreeSGD",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_one_line_that_names_the_field(fields, message):
    with pytest.raises(UserError, match=f"^{message}") as error:
        plan(**fields)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -1),
        ("epochs", 0.0),
        ("epochs", float("nan")),
        ("epochs", float("inf")),
        ("ema", -0.1),
        ("ema", 1.0),
        ("seed", -1),
        ("tta", "flip"),
        ("sampling", "weighted"),
        ("select_by", "loss"),
        ("parallel", "shard"),
        ("convolutions", "slow"),
    ],
)
def test_impossible_fields_are_named(field, value):
    with pytest.raises(ValueError, match=f"^{field} must"):
        Experiment(data=Shapes(), model=models.LeNet(), **{field: value})


def test_facts_are_those_of_the_data(dataset):
    facts = DataFacts.of(dataset)
    assert (facts.train, facts.validation, facts.test) == (70, 0, 37)
    assert (facts.image_shape, facts.num_classes) == ((8, 8, 3), 10)
    assert (facts.mean, facts.std) == (dataset.mean, dataset.std)
    labels = dataset.train.labels.tolist()
    assert facts.class_counts == tuple(map(labels.count, range(10)))
    assert all(type(count) is int for count in facts.class_counts)


def test_a_class_without_training_images_has_a_count(dataset):
    labels = np.zeros(70, np.int32)
    train = dataclasses.replace(dataset.train, labels=labels)
    facts = DataFacts.of(dataclasses.replace(dataset, train=train))
    assert facts.class_counts == (70, *[0] * 9)


def test_digests_of_facts_from_before_the_class_counts_stay_valid(dataset):
    """transfer/teacher.py hashes this text."""
    facts = DataFacts.of(dataset)
    assert repr(facts) == repr(dataclasses.replace(facts, class_counts=()))
    assert repr(FACTS).endswith("test=10000, fingerprint='0')")


def test_class_weights_are_those_of_the_data():
    facts = dataclasses.replace(FACTS, classes=("cat", "dog"), train=40, class_counts=(30, 10))
    loss = MulticlassHinge(margin=2.0, class_weights="balanced")
    made = plan(facts, loss=loss, batch_size=8)
    assert made.loss == MulticlassHinge(margin=2.0, class_weights=(40 / 60, 2.0))
    assert made.experiment.loss == loss
    assert plan(facts, batch_size=8).loss == Softmax()
    with pytest.raises(UserError) as error:
        plan(facts, loss=Softmax(class_weights=(1.0, 2.0, 3.0)), batch_size=8)
    assert str(error.value) == (
        "loss.class_weights must have 2 values, one for each class, got 3; the classes of cifar10 "
        "are cat, dog"
    )


@pytest.mark.parametrize("weights", ["balanced", (1.0, 2.5)])
def test_class_weights_are_written_and_read(weights):
    experiment = Experiment(
        data=Shapes(),
        model=models.LeNet(),
        loss=Softmax(class_weights=weights),
        sampling="balanced",
        keep_best=True,
        select_by="balanced_accuracy",
    )
    text = config.to_text(experiment)
    assert f"loss=Softmax(class_weights={weights!r}), sampling='balanced'" in text
    assert config.from_text(text, NAMES) == experiment


def test_the_state_is_told_in_shapes_or_why_it_can_not_be():
    state = state_shapes(plan(optimizer=Adam()))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == 62_006
    assert state.step.shape == ()
    small = dataclasses.replace(FACTS, image_shape=(8, 8, 3))
    with pytest.raises(UserError, match=r"^model LeNet.* can't take images of 8x8x3: "):
        state_shapes(plan(small))


def test_a_plan_s_optimizer_looks_ahead_where_asked():
    """Gradient -1 at a rate of 1 on every parameter: 1, then half of the way to 2."""
    made = plan(
        optimizer=SGD(peak_lr=1.0, momentum=0.0),
        schedule=Constant(),
        lookahead=Lookahead(interval=2, slow_step=0.5),
    )
    params = {"kernel": jnp.zeros((2, 3))}
    state = made.tx.init(params)
    for expected in (1, 1, 2, 2):
        updates, state = made.tx.update({"kernel": -jnp.ones((2, 3))}, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        np.testing.assert_array_equal(params["kernel"], np.full((2, 3), expected))


@pytest.mark.parametrize("name", config.recipes())
def test_every_recipe_makes_a_step(name):
    """In shapes: from the state to a state of the same shapes, whatever its model and optimiser."""
    # With stock convolutions a step is traced faster.
    experiment = dataclasses.replace(config.load(name).experiment, convolutions="stock")
    image_shape = getattr(experiment.model, "published_on", models.LeNet.published_on).image_shape
    facts = dataclasses.replace(FACTS, image_shape=image_shape, train=45_000, validation=5000)
    made = Plan.of(experiment, facts)
    state = state_shapes(made)
    data = Resident(
        jax.ShapeDtypeStruct((45_000, *image_shape), jnp.uint8),
        jax.ShapeDtypeStruct((45_000,), jnp.int32),
    )
    after, metrics = jax.eval_shape(
        functools.partial(train_step, made),
        state,
        data,
        jax.ShapeDtypeStruct((45_000,), jnp.int32),
        jax.eval_shape(lambda: streams(0)),
    )
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for mine, theirs in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
    assert metrics.loss.shape == ()


def test_what_a_config_from_before_a_field_leaves_out_has_its_default():
    """A run's config.json names what differs from the defaults; new fields change nothing there."""
    text = "Experiment(data=Shapes(), model=LeNet())"
    experiment = config.from_text(text, NAMES)
    assert (experiment.gradient, experiment.ema) == (Plain(), 0.0)
    assert config.to_text(experiment) == text
    averaged = dataclasses.replace(experiment, gradient=Accumulate(2, SAM(rho=0.1)), ema=0.99)
    assert config.from_text(config.to_text(averaged), NAMES) == averaged


@dataclasses.dataclass(frozen=True)
class BrokenData:
    """Fails where it is told to."""

    where: str

    def resolve(self, data_dir=None):
        return self, {}["resolve"] if self.where == "resolve" else ""

    def load(self, data_dir=None):
        raise ValueError("bad data")


class BrokenOptimizer(SGD):
    def _rule(self, factor, batch_size, total_steps):
        return {}["rule"]


class BrokenSchedule(Constant):
    def _curve(self, steps):
        return 1 / 0


@pytest.mark.parametrize(
    ("changed", "part", "error"),
    [
        ({"data": BrokenData("resolve")}, "data", "KeyError: 'resolve'"),
        ({"data": BrokenData("load")}, "data", "ValueError: bad data"),
        ({"optimizer": BrokenOptimizer()}, "optimizer", "KeyError: 'rule'"),
        ({"schedule": BrokenSchedule()}, "schedule", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_in_a_component_is_one_line_with_its_place(changed, part, error, monkeypatch):
    monkeypatch.setattr(config, "check", lambda *_: None)  # these classes are no dataclasses
    experiment = dataclasses.replace(
        Experiment(data=Shapes(train=64, validation=0, test=16), model=models.MLP()),
        **{"batch_size": 16, **changed},
    )
    with pytest.raises(UserError, match=rf"^{part} fails at .*test_experiment\.py:\d+: {error}$"):
        Setup.of(experiment)
