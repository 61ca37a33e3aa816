"""Mode search: trials that processes share, and the best of them as a recipe."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import sys

import pytest
from program import TINY, one_line, run, start
from shared_runs import kill_one_that_trains

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.search.space import space
from cnn_jax.search.study import Study

optuna = pytest.importorskip("optuna")

MLP = "--config.model=MLP(hidden=(16,))"  # compiles sooner
FIXED = {"model": "MLP"}
AXES = space("optimizer.peak_lr=log(1e-3,1); batch_size=choice(8,16)")


def study(folder, sampler="random", seed=0):
    return Study(folder, None, sampler, seed)


def nobody(number):
    return False


def everybody(number):
    return True


def test_trials_draw_by_their_numbers_whatever_the_process(tmp_path):
    values = {}
    for place, kind in (("one", 1), ("two", 2)):
        (tmp_path / place).mkdir()
        studies = [study(tmp_path / place) for _ in range(kind)]
        drawn = []
        for number in range(6):
            mine = studies[number % kind]
            trial = mine.next(6, everybody)
            drawn.append(mine.suggest(trial, AXES))
        values[place] = drawn
    assert values["one"] == values["two"]
    rates = [float(row["optimizer.peak_lr"]) for row in values["one"]]
    assert len(set(rates)) == 6 and all(1e-3 <= rate <= 1 for rate in rates)
    assert {row["batch_size"] for row in values["one"]} == {"8", "16"}


def test_the_trial_of_a_killed_process_is_taken_up_with_its_values(tmp_path):
    first = study(tmp_path).next(2, everybody)
    values = study(tmp_path).suggest(first, AXES)
    again = study(tmp_path).next(2, nobody)
    assert again.number == first.number == 0
    assert study(tmp_path).suggest(again, AXES) == values
    assert study(tmp_path).next(2, everybody).number == 1
    assert study(tmp_path).next(2, everybody) is None  # others train all that are left


def test_what_counts_and_what_is_best(tmp_path):
    mine = study(tmp_path)
    for value, pruned in ((0.5, False), (None, True), (None, False), (0.7, False)):
        trial = mine.next(9, everybody)
        mine.report(trial, 1, 0.9)
        mine.tell(trial, value, pruned=pruned)
    mine.next(9, everybody)  # is being trained
    assert mine.counted() == 4
    assert (mine.best().number, mine.best().value) == (3, 0.7)


def test_a_trial_below_the_median_is_pruned(tmp_path):
    """Optuna's pruner waits for five trials, and then compares with their median."""
    mine = study(tmp_path)
    for value in (0.1, 0.2, 0.3, 0.4, 0.5):
        trial = mine.next(9, everybody)
        mine.report(trial, 1, value)
        mine.tell(trial, value)
    assert mine.report(mine.next(9, everybody), 1, 0.29)
    assert not mine.report(mine.next(9, everybody), 1, 0.31)


def test_a_search_keeps_its_space(tmp_path):
    study(tmp_path).check_same("a=int(1,8)", space("a=int(1,8)"), FIXED)
    study(tmp_path).check_same("a = int(1, 8)", space("a = int(1, 8)"), FIXED)
    for other in ("a=int(1,9)", "b=int(1,8)", "a=int(1,8); b=int(1,8)"):
        with pytest.raises(UserError, match=r"another search is in .*, of 'a=int\(1,8\)': give"):
            study(tmp_path).check_same(other, space(other), FIXED)


def test_another_experiment_in_the_same_folder_is_refused(capsys, tmp_path):
    asked = ("--mode=search", "--space=seed=int(1,9)", f"--workdir={tmp_path}/s")
    quick = (*TINY, MLP, "--config.epochs=1", *asked)
    assert cli.main(["run.py", *quick, "--trials=1"]) == 0
    best = (tmp_path / "s" / "best.py").read_text()
    for changed, said in (
        ("--config.epochs=2", "epochs: 1.0 -> 2.0"),
        ("--config.ema=0.9", "ema: default -> 0.9"),
    ):
        assert cli.main(["run.py", *quick, changed, "--trials=1"]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert f"/s holds a search of another experiment ({said})" in error and one_line(error)
    assert (tmp_path / "s" / "best.py").read_text() == best
    # A field that the space sets may differ: no trial uses it.
    assert cli.main(["run.py", *quick, "--config.seed=5", "--trials=2"]) == 0
    assert (tmp_path / "s" / "001" / "summary.json").exists()


def test_values_that_do_not_fit_each_other_are_refused_and_the_search_goes_on(capsys, tmp_path):
    """Each fits by itself: 64 images in batches of 16, or 256 in batches of 128."""
    space = "--space=data.train=choice(64,256); batch_size=choice(16,128)"
    small = (*TINY, MLP, "--config.epochs=1", "--config.data=Shapes(validation=16, test=16)")
    flags = (
        "--mode=search",
        "--sampler=random",
        "--seed=5",
        "--trials=3",
        f"--workdir={tmp_path}/s",
        space,
    )
    assert cli.main(["run.py", *small, "--mode=search", *flags]) == 0
    rows = [*csv.DictReader((tmp_path / "s" / "search.csv").open())]
    assert len(rows) == 3
    for row in rows:
        unfit = (row["data.train"], row["batch_size"]) == ("64", "128")
        assert row["state"] == ("refused" if unfit else row["state"])
        assert unfit or row["state"] in ("finished", "pruned")
    assert "refused: batch_size must be at most the 64 training" in capsys.readouterr().out


def test_the_folder_of_a_sweep_or_a_run_is_refused_before_anything_is_written(capsys, tmp_path):
    (tmp_path / "sweep.json").write_text('{"recipe": "x", "runs": []}')
    asked = ("--mode=search", "--space=seed=int(1,9)", f"--workdir={tmp_path}")
    for dry in ((), ("--dry_run",)):
        assert cli.main(["run.py", *TINY, *asked, *dry]) == 2
        assert "holds a sweep: give another --workdir" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]


def test_a_diverged_trial_says_so_in_its_folder(capsys, tmp_path):
    flags = ("--space=optimizer.peak_lr=log(1e30,1e31)", "--trials=1", f"--workdir={tmp_path}/s")
    assert cli.main(["run.py", *TINY, MLP, "--mode=search", *flags]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: no trial has finished (search.csv -> ")
    assert "000,diverged," in (tmp_path / "s" / "search.csv").read_text()
    assert "loss" in json.loads((tmp_path / "s" / "000" / "diverged.json").read_text())["message"]
    # One run does not go into the folder of many, nor many into the folder of one.
    assert cli.main(["run.py", *TINY, f"--workdir={tmp_path}/s"]) == 2
    assert "holds many runs (search.log)" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.json").write_text("{}")
    for mode in (("--mode=sweep", "--seeds=2"), ("--mode=search", flags[0])):
        assert cli.main(["run.py", *TINY, *mode, f"--workdir={tmp_path}/one"]) == 2
        assert "one holds a run: give another --workdir" in capsys.readouterr().err


def test_another_space_in_the_same_folder_is_refused(tmp_path):
    mine = study(tmp_path)
    mine.suggest(mine.next(2, everybody), AXES)
    again = study(tmp_path).next(2, nobody)
    with pytest.raises(UserError, match="--space: another search is in"):
        study(tmp_path).suggest(again, space("optimizer.peak_lr=log(1e-3,1); batch_size=int(1,8)"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--mode=search needs --space="),
        (
            ["--space=optimizer.rate=log(1,2)"],
            "optimizer.rate=1: Unknown flag --config.optimizer.rate.",
        ),
        (
            ["--space=optimizer.peak_lr=log(1,2)", "--storage=nonsense://x"],
            "--storage=nonsense://x",
        ),
        (["--space=batch_size=uniform(8,16)"], "--space: batch_size=11.06: "),
        (["--space=batch_size=choice(8,512)"], "--space: batch_size=512: "),
        (
            ["--space=batch_size=choice(8,16)", "--config.data=Shapes(train=64, validation=0)"],
            "chooses on validation",
        ),
    ],
)
def test_mistakes_are_one_line(flags, message, capsys, tmp_path):
    arguments = (*TINY, "--mode=search", f"--workdir={tmp_path}/s", *flags)
    assert cli.main(["run.py", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and one_line(error)
    assert not (tmp_path / "s").exists()


def test_a_dry_run_lists_what_trials_take_and_leaves_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (*TINY, MLP, "--config.epochs=1", "--mode=search", "--dry_run", "--trials=7")
    flags = "--space=optimizer.peak_lr=log(1e-3,1); seed=choice(4,5)"
    assert cli.main(["run.py", *arguments, flags]) == 0
    printed = capsys.readouterr().out
    # An epoch has 256 images; each costs 3 forward passes of 2 FLOPs for each weight.
    petaflops = 256 * 3 * 2 * (32 * 32 * 3 * 16 + 16 * 10) / 1e15
    for place in ("optimizer.peak_lr +0.001", "optimizer.peak_lr +1", "seed +4", "seed +5"):
        assert re.search(rf"{place} +8 +{petaflops:.3g} P *\n", printed)
    assert f"7 trials of 8 steps: {7 * petaflops:.3g} P FLOPs" in printed
    more = "--space=batch_size=choice(16,32); seed=choice(4,5); epochs=int(1,3)"
    assert cli.main(["run.py", *arguments, more]) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"epochs +3 +24 +{3 * petaflops:.3g} P *\n", printed)
    assert "7 trials; what one takes depends on batch_size and epochs" in printed
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_what_a_search_would(capsys):
    arguments = (*TINY, "--mode=search", "--dry_run", "--space=batch_size=choice(8,512)")
    assert cli.main(["run.py", *arguments]) == 2
    assert "--space: batch_size=512: " in capsys.readouterr().err.splitlines()[-1]


def test_jobs_share_a_search_and_the_best_is_shown(monkeypatch, capsys, tmp_path):
    asked = ("--space=optimizer.peak_lr=log(1e-3,1)", "--trials=1")
    small = (*TINY, MLP, "--config.epochs=1")
    arguments = (*small, "--mode=search", *asked, f"--workdir={tmp_path}/s")
    monkeypatch.setattr(sys, "orig_argv", ["python", "run.py", *arguments, "--jobs=2"])
    commands, codes = [], [0, 1]

    class Process:
        def __init__(self, code):
            self.wait = lambda: code

    @contextlib.contextmanager
    def started(command, number, folder):
        commands.append(command[1:])
        assert cli.main(["run.py", *arguments]) == 0  # what one of the processes does
        (folder / "jobs").mkdir(exist_ok=True)
        (folder / "jobs" / "0.log").write_text("chatter\nerror: out of luck\n")
        yield [Process(code) for code in codes]

    monkeypatch.setattr("cnn_jax.sweeps.jobs.started", started)
    assert cli.main(["run.py", *arguments, "--jobs=2"]) == 0
    assert commands == [["run.py", *arguments]]
    assert capsys.readouterr().out.count("best: trial 0, validation accuracy ") == 2
    codes[:] = [1, 1]
    assert cli.main(["run.py", *arguments, "--jobs=2"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "error: process 0 has failed: out of luck"


@pytest.mark.slow
def test_row_36_a_search_loses_no_trial_of_a_killed_process(tmp_path):
    arguments = (
        *TINY,
        "--mode=search",
        "--space=optimizer.peak_lr=log(1e-3,1); batch_size=choice(16,32)",
        "--trials=4",
        f"--workdir={tmp_path}/search",
    )
    processes = [start(*arguments) for _ in range(2)]
    kill_one_that_trains(tmp_path / "search")
    assert sorted(process.wait(timeout=300) for process in processes) == [-signal.SIGKILL, 0]
    trials = study(tmp_path / "search").trials()
    assert [trial.number for trial in trials] == [*range(4)]
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"}
    best = study(tmp_path / "search").best()
    run(f"--config={tmp_path}/search/best.py", f"--workdir={tmp_path}/again")
    summary = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert summary["validation_accuracy"] == best.value  # the printed recipe gives the same number
