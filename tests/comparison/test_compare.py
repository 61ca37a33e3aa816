"""Mode compare: which runs form a group, how groups are compared, and what is concluded."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from program import one_line
from scipy import stats
from small_run import EXPERIMENT, QUIET

from cnn_jax import cli
from cnn_jax.comparison.compare import compare
from cnn_jax.comparison.samples import Sample, samples
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Plan
from cnn_jax.runs import stored_predictions
from cnn_jax.runs.workdir import Run
from cnn_jax.storage.json_files import write_json
from cnn_jax.train import train


def sample(name, *accuracies, seeds=None, data=("cifar10", "1")):
    return Sample(name, accuracies, tuple(seeds or range(len(accuracies))), data)


@pytest.fixture
def write_run(tmp_path, dataset):
    """A function that writes a finished run's folder, as far as it is compared."""

    def write(folder, accuracy, *, finished=True, right=(), data=dataset, **fields):
        run = Run(tmp_path / folder)
        one = dataclasses.replace(EXPERIMENT, **fields)
        with run.locked():
            run.begin(Plan.of(one, DataFacts.of(data)), None, {"command": ["run.py"]})
        summary = dict.fromkeys(("test_loss", "epochs", "train_seconds", "compile_seconds"), 1.0)
        summary |= {"test_accuracy": accuracy, "validation_accuracy": None, "dataset": "noise"}
        summary |= {"parameters": 9, "steps": 9, "finished": True, "seed": one.seed}
        if finished:
            write_json(run.folder / "summary.json", summary)
        if len(right):
            labels = np.zeros(len(right), np.int32)
            predicted = np.where(right, 0, 1).astype(np.int32)
            np.savez(run.folder / "predictions.npz", labels=labels, predicted=predicted)
        return run.folder

    return write


def test_a_sweep_is_a_group_for_each_setting(write_run, tmp_path):
    for seed in (0, 1, 2):
        for batch_size in (8, 16):
            name = f"sweep/{batch_size}-{seed}"
            write_run(name, 0.5 + seed / 100 + batch_size / 1000, seed=seed, batch_size=batch_size)
    write_run("sweep/late", 0.0, seed=3, batch_size=16, finished=False)
    write_run("sweep/z", 0.9, seed=1, batch_size=8)  # again: no further evidence
    write_json(tmp_path / "sweep" / "late" / "diverged.json", {"message": "the loss is nan"})
    small, large = samples(tmp_path / "sweep")
    assert {small.name, large.name} == {"sweep: batch_size=8", "sweep: batch_size=16"}
    small, large = sorted((small, large), key=lambda one: one.accuracies)
    assert small.accuracies == pytest.approx((50.8, 51.8, 52.8))
    assert small.seeds == large.seeds == (0, 1, 2)
    notes = {
        "sweep: batch_size=16: left out, since not finished: late",
        "sweep: batch_size=8: left out, since seeds are there already: z",
    }
    found = samples(tmp_path / "sweep")
    assert found[0].note.endswith("; sweep: left out, diverged: late")
    found[0] = dataclasses.replace(found[0], note=found[0].note.partition(";")[0])
    assert {one.note for one in found} == notes


def test_pairs_by_seed_whatever_their_order():
    (found,) = compare([sample("a", 1.0, 2.0, 4.0), sample("b", 4.5, 1.5, 2.5, seeds=(2, 0, 1))])
    assert found.reason == "paired, since all seeds match"
    assert found.difference.mean == pytest.approx(0.5)
    assert found.difference.error == pytest.approx(0)


@pytest.mark.parametrize(
    "others",
    [
        (0, 1, 3),  # another seed
        (0, 1),  # one is missing
        (0, 0, 1),  # one is there twice
    ],
)
def test_other_seeds_are_independent_groups(others):
    first, second = (93.0, 94.0, 95.5), (94.0, 96.0, 96.5)[: len(others)]
    (found,) = compare([sample("a", *first), sample("b", *second, seeds=others)])
    assert (found.reason, found.difference.method) == ("not paired, since seeds differ", "welch")
    assert found.p == pytest.approx(stats.ttest_ind(second, first, equal_var=False).pvalue)


def test_p_values_of_several_comparisons_are_adjusted():
    first = sample("a", 93.0, 94.1, 95.5)
    others = [sample("b", 94.0, 95.3, 96.3), sample("c", 93.5, 94.9, 95.6)]
    alone = [compare([first, other])[0].p for other in others]
    assert [one.p for one in compare([first, *others])] == pytest.approx(
        [min(1, 2 * alone[0]), max(2 * alone[0], alone[1])]
    )


@pytest.mark.parametrize(
    ("second", "margin", "conclusion"),
    [
        ((94.9, 95.1, 95.0), 0.5, "b is better than a"),
        ((93.1, 92.9, 93.0), 0.5, "a is better than b"),
        ((94.2, 94.4, 94.3), 0.5, "b is better than a, and by less than 0.5 points"),
        ((94.0, 94.1, 94.1), 0.5, "a and b are equivalent within 0.5 points"),
        (
            (93.0, 95.9, 94.2),
            0.5,
            "nothing: either may be better, and it is not shown that they are within 0.5 points "
            "of each other",
        ),
    ],
)
def test_what_can_be_concluded(second, margin, conclusion):
    (found,) = compare([sample("a", 94.0, 94.2, 94.1), sample("b", *second)], margin)
    assert found.conclusion == conclusion


def test_how_many_runs_a_small_difference_needs():
    """Pairs that differ by 0.1 +- 0.2: the t test with n - 1 degrees, by its own power."""
    (found,) = compare([sample("a", 0.0, 0.0, 0.0), sample("b", -0.1, 0.1, 0.3)])
    n, shift = found.needed, 0.1 / 0.2
    powers = [stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, shift * n**0.5) for n in (n - 1, n)]
    assert powers[0] < 0.8 <= powers[1]


def test_single_runs_are_compared_by_their_images(write_run):
    one = write_run("one", 0.9, right=[True] * 30 + [False] * 2)
    two = write_run("two", 0.5, right=[True] * 22 + [False] * 8 + [True] + [False])
    (found,) = compare([*samples(one), *samples(two)])
    assert found.difference is None
    assert (found.images.first_alone, found.images.second_alone) == (8, 1)
    assert found.images.p == pytest.approx(20 / 512)  # 2 * (1 + 9) / 2^9
    assert found.conclusion.startswith("this net of one is better on images like these")


def test_p_values_of_several_single_runs_are_adjusted(write_run):
    """Holm: the smallest of two is doubled, the other stays."""
    one = write_run("one", 0.9, right=[True] * 30 + [False] * 2)
    two = write_run("two", 0.5, right=[True] * 22 + [False] * 8 + [True] + [False])
    three = write_run("three", 0.9, right=[True] * 27 + [False] * 3 + [True] + [False])
    found = compare([*samples(one), *samples(two), *samples(three)])
    assert [each.images.p for each in found] == pytest.approx([2 * 20 / 512, 10 / 16])
    assert found[0].conclusion == "nothing: on images like these, either net may be better"


def test_a_single_run_without_predictions_says_nothing(write_run):
    groups = [*samples(write_run("one", 0.9)), *samples(write_run("two", 0.8, right=[True]))]
    (found,) = compare(groups)
    assert found.images is None and found.conclusion.startswith("nothing: one is a single run")


def test_other_data_is_refused():
    with pytest.raises(UserError, match="b was tested on cifar100 and a on cifar10"):
        compare([sample("a", 1.0, 2.0), sample("b", 1.0, 2.0, data=("cifar100", ""))])
    with pytest.raises(UserError, match="other images"):
        compare([sample("a", 1.0, 2.0), sample("b", 1.0, 2.0, data=("cifar10", "2"))])
    compare([sample("a", 1.0, 2.0), sample("b", 1.0, 2.5, data=("cifar10", ""))])


def test_the_command_writes_what_it_prints(tmp_path, capsys):
    for name, values in (("a", [0.75, 0.76, 0.77]), ("b", [0.70, 0.72, 0.71])):
        row = {"test_accuracies": values, "seeds": [0, 1, 2], "dataset": "cifar10"}
        write_json(tmp_path / f"{name}.json", row)
    output = tmp_path / "out.json"
    places = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert cli.main(["run.py", "--mode=compare", *places, f"--output={output}"]) == 0
    shown = capsys.readouterr().out
    assert "difference -5.00 points" in shown and "can be concluded: a is better than b" in shown
    content = json.loads(output.read_text())
    assert [group["mean"] for group in content["groups"]] == pytest.approx([76, 71])
    (found,) = content["compared_with_the_first"]
    assert found["difference"]["low"] == pytest.approx(
        stats.ttest_rel([70, 72, 71], [75, 76, 77]).confidence_interval().low
    )
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([], "needs at least two groups"),
        (["nowhere", "a.json"], "nowhere is neither a folder nor a file of results/"),
        (["a.json"], "a.json is no row of results/"),
        (["a.json", "./a.json"], "a group is named twice"),
        (["folder", "a.json"], "folder holds no run"),
        (["sweep", "a.json"], "sweep holds no run that has finished (diverged: 002)"),
    ],
)
def test_mistakes_are_one_line(places, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "sweep" / "002").mkdir(parents=True)
    write_json(tmp_path / "sweep" / "002" / "diverged.json", {"message": "the loss is nan"})
    (tmp_path / "a.json").write_text("{}")
    assert cli.main(["run.py", "--mode=compare", *places]) == 2
    error = capsys.readouterr().err
    assert message in error and one_line(error)


def test_a_run_keeps_its_predictions(tmp_path):
    result = train(EXPERIMENT, tmp_path / "run", console=QUIET)
    kept = stored_predictions.read(tmp_path / "run")
    right = (kept.labels == kept.predicted).mean()
    assert right == result.summary["test_accuracy"]
    np.testing.assert_array_equal(kept.labels, EXPERIMENT.data.load().test.labels)
    (tmp_path / "run" / "predictions.npz").write_bytes(b"PK damaged")
    assert stored_predictions.read(tmp_path / "run") is None
