"""`Optax` takes the same steps as the optax function it names, and explains what it rejects."""

from __future__ import annotations

import functools

import jax
import numpy as np
import optax
import pytest
from optax import contrib

from cnn_jax import config
from cnn_jax.config.names import NAMES
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import ConfigError
from cnn_jax.optim import Linear, Lookahead, Optax
from cnn_jax.runtime.parallel import parallel
from cnn_jax.storage import pytrees
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import train_step

BATCH_SIZE, PER_BATCH, CLIP_NORM = 32, 128, 0.7


def factor(step):
    return 1 / (1 + step)


def rate(step):
    """The schedule at a quarter of 0.04, as 32 examples are a quarter of 128."""
    return 0.01 * factor(step)


def kernels(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)


def bits(tree):
    return [(leaf.dtype.name, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize(
    ("name", "arguments", "decay", "function"),
    [
        ("adafactor", {"momentum": 0.9}, "all", optax.adafactor),
        ("adafactor", {"min_dim_size_to_factor": 2}, "all", optax.adafactor),
        ("adabelief", {"b1": 0.8}, "all", optax.adabelief),
        ("novograd", {"weight_decay": 0.1}, "all", optax.novograd),
        ("nadamw", {}, "all", optax.nadamw),
        ("lion", {"weight_decay": 0.3}, "kernels", functools.partial(optax.lion, mask=kernels)),
        (
            "adadelta",
            {"weight_decay": 0.3},
            "kernels",
            functools.partial(optax.adadelta, weight_decay_mask=kernels),
        ),
        ("prodigy", {"betas": (0.8, 0.95), "safeguard_warmup": True}, "all", contrib.prodigy),
        ("adam", {"mu_dtype": "bfloat16"}, "all", optax.adam),
    ],
)
def test_takes_the_steps_of_optax(params, gradients, name, arguments, decay, function):
    """With the schedule, the learning rate for the batch size, and clipping: the same bits."""
    fields = {"peak_lr": 0.04, "per_batch": PER_BATCH, "clip_norm": CLIP_NORM, "decay": decay}
    mine = Optax(name, kwargs=tuple(arguments.items()), **fields).build(
        factor, batch_size=BATCH_SIZE, total_steps=len(gradients)
    )
    theirs = optax.chain(
        optax.clip_by_global_norm(CLIP_NORM), function(learning_rate=rate, **arguments)
    )

    def run(tx):
        now, state = params, tx.init(params)
        update = jax.jit(tx.update)
        for gradient in gradients:
            updates, state = update(gradient, state, now)
            now = optax.apply_updates(now, updates)
        return now, state

    (my_params, my_state), (their_params, their_state) = run(mine), run(theirs)
    assert bits(my_params) == bits(their_params) != bits(params)
    assert jax.tree.structure(my_state) == jax.tree.structure(their_state)
    assert bits(my_state) == bits(their_state)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Optax("adafactr", peak_lr=0.1), r"name must be .* got 'adafactr'. .* adafactor\?"),
        (
            lambda: Optax("scale_by_adam", peak_lr=0.1),
            r"name must be .* that takes a learning_rate",
        ),
        (
            lambda: Optax("__dict__", peak_lr=0.1),
            r"name must be .* Choose from acprop, adabelief, ",
        ),
        (
            lambda: Optax("adamw", peak_lr=0.1, kwargs=(("weight_decy", 0.1),)),
            r"kwargs must be arguments of adamw, got 'weight_decy'. Did you mean weight_decay\?",
        ),
        (
            lambda: Optax("adam", peak_lr=0.1, kwargs=(("learning_rate", 0.1),)),
            "kwargs: learning_rate is set by peak_lr and the schedule",
        ),
        (
            lambda: Optax("adamw", peak_lr=0.1, kwargs=(("mask", True),)),
            "kwargs: mask is set by decay",
        ),
        (
            lambda: Optax("adam", peak_lr=0.1, kwargs=(("b1", 0.9), ("b1", 0.8))),
            "kwargs must give each argument once",
        ),
        (lambda: Optax("adam", peak_lr=0.1, kwargs=("b1", 0.9)), "kwargs must be pairs such as"),
        (
            lambda: Optax("adam", peak_lr=0.1, kwargs=(("b1", "x"),)),
            r"name: adam can't take a step .* kwargs=\(\('b1', 'x'\),\): TypeError: ",
        ),
        (lambda: Optax("lbfgs", peak_lr=0.1), "name: lbfgs can't take a step .* 'value_fn'"),
        (lambda: Optax("sophia", peak_lr=0.1), "name: sophia can't take a step .* obj_fn"),
        (lambda: Optax("momo", peak_lr=0.1), "name: momo can't take a step .* 'value'"),
        (lambda: Optax("sm3", peak_lr=0.1), "name: sm3 can't take a step .* a learning-rate sched"),
        (lambda: Optax("dpsgd", peak_lr=0.1), "name: dpsgd can't take a step .* 'l2_norm_clip'"),
        (lambda: Optax("schedule_free_sgd", peak_lr=0.1), "name: .* use ScheduleFreeSGD"),
        (lambda: Optax("noisy_sgd", peak_lr=0.1), "name: noisy_sgd keeps a random key"),
        (lambda: Optax("adam", peak_lr=0.1, decay="kernels"), "decay must be 'all', since adam"),
        (lambda: Optax("adamw", peak_lr=0.1, decay="biases"), "decay must be one of"),
        (lambda: Optax("adam", peak_lr=0.0), "peak_lr must be positive"),
    ],
)
def test_what_is_rejected(build, message):
    with pytest.raises(ValueError, match=f"^{message}") as error:
        build()
    assert "\n" not in str(error.value)


def test_is_written_and_read_as_an_expression():
    text = "Optax('adafactor', peak_lr=0.01, kwargs=(('momentum', 0.9), ('factored', False)))"
    optimizer = config.from_text(text, NAMES)
    arguments = (("momentum", 0.9), ("factored", False))
    assert optimizer == Optax("adafactor", peak_lr=0.01, kwargs=arguments)
    assert hash(optimizer) == hash(config.from_text(config.to_text(optimizer), NAMES))
    written = (
        "Optax(name='adafactor', peak_lr=0.01, kwargs=(('momentum', 0.9), ('factored', False)))"
    )
    assert config.to_text(optimizer) == written
    config.check(optimizer)
    for text, message in [
        ("Optax(adafactor, peak_lr=0.01)", None),
        ("Optax('adafactor')", r"Optax needs peak_lr: write Optax\(peak_lr=...\)"),
        ("Optax('adafactr', peak_lr=0.01)", "Optax: name must be .* Did you mean adafactor"),
        ("Optax('adam', peak_lr=0.01, kwargs=('b1', 0.9))", r"Optax.kwargs: must be tuple"),
    ]:
        if message is None:
            assert config.from_text(text, NAMES) == Optax("adafactor", peak_lr=0.01)
        else:
            with pytest.raises(ConfigError, match=f"^{message}"):
                config.from_text(text, NAMES)


def test_flags_change_its_fields(plan_of):
    experiment = plan_of(optimizer=Optax("adafactor", peak_lr=0.01)).experiment
    flags = ["--config.optimizer.peak_lr=0.02", "--config.optimizer.kwargs=(('momentum', 0.9),)"]
    changed = config.override(experiment, flags, NAMES).config
    assert changed.optimizer == Optax("adafactor", peak_lr=0.02, kwargs=(("momentum", 0.9),))
    flags = ["--config.optimizer=Optax('prodigy', peak_lr=1)", "--config.optimizer.clip_norm=2"]
    changed = config.override(experiment, flags, NAMES).config
    assert changed.optimizer == Optax("prodigy", peak_lr=1.0, clip_norm=2.0)


def test_resumes_with_lookahead_ema_and_frozen_parameters(
    plan_of, dataset, state_of, devices, tmp_path
):
    """Two steps, a checkpoint and two more steps give the bits of four steps."""
    devices(1)
    plan = plan_of(
        optimizer=Optax("adafactor", peak_lr=0.1, per_batch=32, clip_norm=1.0),
        schedule=Linear(warmup=1),
        lookahead=Lookahead(interval=2),
        ema=0.9,
        freeze=("Conv_0/*",),
    )
    program, keys = parallel("jit", plan.experiment.batch_size), streams(0)
    order = epoch_order(keys.order, 0, len(dataset.train))
    start = state_of(plan)
    inputs = [program.place(tree) for tree in (Resident.of(dataset.train), order, keys)]
    lowered = program.lower(functools.partial(train_step, plan), program.place(start), *inputs)
    step = lowered.compile()

    def advance(state, steps):
        # A copy, as the step donates its buffers.
        state = program.place(jax.tree.map(np.array, state))
        for _ in range(steps):
            state, _ = step(state, *inputs)
        return jax.tree.map(np.array, program.fetch(state))

    halfway, whole = advance(start, 2), advance(start, 4)
    pytrees.write(tmp_path / "checkpoint", halfway)
    restored = pytrees.read(tmp_path / "checkpoint", start)
    assert bits(advance(restored, 2)) == bits(whole) != bits(halfway)
    assert bits(whole.params["Conv_0"]) == bits(start.params["Conv_0"])
    assert bits(whole.params["Dense_0"]) != bits(start.params["Dense_0"])
    assert bits(whole.ema["params"]) != bits(whole.params)
