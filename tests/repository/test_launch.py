"""The files in launch/ are what their programs read, and start a job that `run.py` understands."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from cnn_jax import config
from cnn_jax.cli import FLAGS
from cnn_jax.config.names import NAMES

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
# What the launchers fill in.
VALUES = {
    "$(printf '%q ' \"$@\")": "--config=cifar10_resnet18 --workdir=runs/mine",
    '"$@"': "--config=cifar10_resnet18 --workdir=runs/mine",
    '"runs/slurm-$SLURM_JOB_ID"': "runs/slurm-1",
    '"$(echo "$SKYPILOT_NODE_IPS" | head -n1):8476"': "10.0.0.1:8476",
    '"$SKYPILOT_NUM_NODES"': "2",
    '"$SKYPILOT_NODE_RANK"': "1",
    "$ARGS": "--config=cifar10_resnet18",
}


def parsed(command: str):
    """The command line that follows `run.py` in a shell command, as the program reads it."""
    words = command.replace("\\\n", " ").partition("python run.py")[2].splitlines()[0]
    for variable, value in VALUES.items():
        words = words.replace(variable, value)
    assert "$" not in words
    return config.parse(["run.py", *shlex.split(words)], plain=FLAGS, names=NAMES)


def assert_trains_together(command: config.Command) -> None:
    assert command.flags.distributed
    assert command.flags.mode == "train"
    assert command.recipe.name == "cifar10_resnet18"
    assert command.flags.workdir


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_shell_script_has_no_mistake_and_starts_a_job(script):
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert script.stat().st_mode & 0o100, "it cannot be executed"
    assert_trains_together(parsed(script.read_text()))


def test_slurm_is_asked_for_a_warning_that_the_run_saves_at():
    """And for one process for each GPU: under Slurm, JAX gives a process the GPU of its number."""
    text = (LAUNCH / "slurm.sh").read_text()
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", text, re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    assert asked["signal"] == "USR1@120"
    assert "138 | 143) again=1" in text  # 128 + SIGUSR1, 128 + SIGTERM


def test_kubernetes_gets_a_jobset_with_one_pod_for_each_process():
    objects = list(yaml.safe_load_all((LAUNCH / "jobset.yaml").read_text()))
    by_kind = {one["kind"]: one for one in objects}
    assert set(by_kind) == {"ServiceAccount", "Role", "RoleBinding", "JobSet"}
    jobset = by_kind["JobSet"]
    assert jobset["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    (workers,) = jobset["spec"]["replicatedJobs"]
    job = workers["template"]["spec"]
    assert job["completionMode"] == "Indexed"  # JAX reads the index
    assert job["parallelism"] == job["completions"] > 1
    pod = job["template"]["spec"]
    assert pod["serviceAccountName"] == by_kind["ServiceAccount"]["metadata"]["name"]
    (container,) = pod["containers"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert_trains_together(parsed(shlex.join(container["command"])))


def test_skypilot_gets_a_task_that_names_the_processes():
    task = yaml.safe_load((LAUNCH / "sky.yaml").read_text())
    assert task["num_nodes"] > 1
    assert_trains_together(command := parsed(task["run"]))
    assert command.flags.coordinator == "10.0.0.1:8476"
    assert (command.flags.num_processes, command.flags.process_id) == (2, 1)
    assert subprocess.run(["bash", "-n"], input=task["setup"], text=True).returncode == 0
