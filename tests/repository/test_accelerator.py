"""benchmarks/accelerator.py is ready: it survives a kill, and needs no package that it may lack."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from program import ROOT, environment

BENCHMARKS = ROOT / "benchmarks"
# Makes the packages unimportable that a bare accelerator machine lacks.
ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
LACKED = ("tensorflow_datasets", "tensorboardX", "array_record", "importlib_resources", "torch")
ROWS = {
    "machine/facts",
    "machine/matmul",
    "machine/bandwidth",
    "correctness/step/cifar10_convnet/float32-highest",
    "correctness/step/cifar10_convnet/float32-default",
    "correctness/step/cifar10_convnet/bfloat16-default",
    "correctness/resume",
    "correctness/platforms",
    "correctness/out_of_memory",
    "speedrun/cifar10_airbench94/float32/seed=0",
    "speedrun/cifar10_airbench94/float32/seed=1",
    "speedrun/peers",
    "speedrun/process/cold",
    "throughput/cifar10_airbench94/ours-float32",
    "throughput/cifar10_airbench94/torch-eager",
    "throughput/cifar10_airbench94/torch-compiled",
    "training/cifar10_resnet18/seed=0",
    "profile/cifar10_airbench94/float32",
}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def rows(path: Path) -> dict:
    return json.loads(path.read_text())["rows"] if path.exists() else {}


@pytest.mark.slow
def test_a_rehearsal_that_is_killed_goes_on_where_it_stopped(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(ABSENT.format(names=LACKED))
    out, budget = tmp_path / "rows.json", "--budget=500"
    command = [sys.executable, str(BENCHMARKS / "accelerator.py"), "--rehearse", budget]
    command += [f"--out={out}", f"--scratch={tmp_path / 'scratch'}"]
    options = {"env": environment(PYTHONPATH=str(tmp_path)), "stdout": subprocess.DEVNULL}
    # Whatever the stage; one that is killed is measured again as a whole, the first one too.
    first = sum(name.startswith("machine/") for name in ROWS)
    wait_for = random.randint(first + 1, len(ROWS) - 1)
    with subprocess.Popen(command, **options) as driver:
        deadline = time.monotonic() + 300
        while len(rows(out)) < wait_for and time.monotonic() < deadline:
            time.sleep(0.05)
        driver.kill()
    time.sleep(0.5)  # its worker ends with it
    before = rows(out)
    assert len(before) >= wait_for
    time.sleep(0.5)
    assert rows(out) == before
    subprocess.run(command, check=True, **options)
    after = rows(out)
    assert after.keys() == ROWS, wait_for
    schema = {"stage", "git", "jax", "seconds", "date", "gpu_before", "gpu_after", "values"}
    for name, row in after.items():
        assert row.keys() == schema, name
        assert row["values"].get("passed", True), (name, row)
    kept = {name for name in before if before[name] == after[name]}
    assert any(name.startswith("machine/") for name in kept)


def test_without_its_driver_a_finished_task_is_skipped_and_a_failing_one_given_up(tmp_path):
    from stages.records import ATTEMPTS, Records

    records = Records(tmp_path / "rows.json")
    assert records.start("machine")
    records.add("machine/facts", {"values": {}})
    records.finish("machine")
    assert not records.start("machine")
    assert [records.start("broken") for _ in range(ATTEMPTS + 1)] == [True] * ATTEMPTS + [False]
    assert Records(tmp_path / "rows.json").rows() == {"machine/facts": {"values": {}}}


SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
from stages.turns import serve
numbers = iter(range(100))
serve({"who": sys.argv[2]}, lambda: next(numbers) + float(sys.argv[2]))
"""


def test_contenders_measure_in_turn_and_one_that_cannot_start_is_left_out():
    from stages.turns import take_turns

    server = [sys.executable, "-c", SERVER, str(BENCHMARKS)]
    broken = [sys.executable, "-c", "raise SystemExit(3)"]
    commands = {"a": ([*server, "0.5"], {}), "b": (broken, {}), "c": ([*server, "0.25"], {})}
    found = dict(take_turns(commands, turns=2))
    assert found["a"] == {"who": "0.5", "step_seconds": [0.5, 1.5]}
    assert found["c"] == {"who": "0.25", "step_seconds": [0.25, 1.25]}
    assert "code 3" in found["b"]["left_out"]


PEER = """
import time
print("|  run     |  epoch  |  train_acc  |  val_acc  |  tta_val_acc  |  time_seconds  |")
for run in ["warmup", *range(200)]:
    seconds = 9.0 if run == "warmup" else 2.5
    print(f"|  {run}  |      0  |     0.5000  |   0.4000  |               |        1.0000  |")
    print(f"|          |   eval  |     0.9900  |   0.9300  |       0.9401  |  {seconds:.4f}  |")
    print("Mean accuracy so far", end="\\r", flush=True)
"""


def test_a_peer_is_read_as_its_authors_print_it_and_stopped_after_as_many_runs(tmp_path):
    from stages import speedrun

    script = tmp_path / "peer.py"
    script.write_text(PEER)
    found = speedrun.run_peer(sys.executable, script, tmp_path)
    assert found["test_accuracies"] == [0.9401] * speedrun.SEEDS
    assert found["run_seconds"] == [2.5] * speedrun.SEEDS  # without the warm-up's


def test_the_time_that_a_device_was_busy_counts_overlaps_once():
    from stages.profiles import covered

    assert covered([(0, 4), (1, 2), (3, 6), (8, 9)]) == 7
    assert covered([]) == 0


def test_packed_images_come_back_as_they_were(tmp_path):
    import pack_cifar10

    random_images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    packed = pack_cifar10.packed(random_images)
    np.testing.assert_array_equal(pack_cifar10.unpacked(*packed), random_images)
