"""Mode train: one run of a recipe."""

from cnn_jax.config import Command, Flag
from cnn_jax.modes.launch import LAUNCH, SLURM
from cnn_jax.modes.mode import (
    LOG_EVERY_STEPS,
    RECORD,
    SAVE_EVERY_STEPS,
    TRACK,
    WORKERS,
    Mode,
    new_workdir,
    record_result,
    training_options,
)
from cnn_jax.results.writing import check_recordable
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import cluster
from cnn_jax.train import train
from cnn_jax.training import stream


def run(command: Command) -> None:
    """Trains the recipe, or resumes its run."""
    if command.flags.record and cluster.leads():
        check_recordable(command.recipe, command.overridden)
    with stream.workers(command.flags.workers):
        result = train(command.experiment, new_workdir(command), **training_options(command))
    if command.flags.record and cluster.leads():
        record_result(command, [result.summary])


def next_start(command: Command) -> str:
    """The line after an interruption outside the training itself, as while data is read."""
    workdir = command.flags.workdir
    begun = workdir and Run(workdir).checkpoints().steps()
    return f"the same command {'resumes' if begun else 'starts'} the run"


DISTRIBUTED = Flag(
    "distributed",
    bool,
    False,
    "This is one of several processes that train together (docs/scaling.md); the cluster is "
    "detected under Slurm, Open MPI, Kubernetes and on TPU pods, or described by the next flags",
)
COORDINATOR = Flag("coordinator", str | None, None, "HOST:PORT of process 0")
NUM_PROCESSES = Flag("num_processes", int | None, None, "How many processes there are", minimum=1)
PROCESS_ID = Flag("process_id", int | None, None, "Which of them this is, from 0", minimum=0)
JOB = (DISTRIBUTED, COORDINATOR, NUM_PROCESSES, PROCESS_ID)

MODE = Mode(
    run,
    (RECORD, LOG_EVERY_STEPS, SAVE_EVERY_STEPS, TRACK, WORKERS, *JOB, LAUNCH, SLURM),
    next_start=next_start,
    joins_a_job=True,
)
