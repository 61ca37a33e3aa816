"""--launch: the same command as jobs of a scheduler, instead of here."""

from cnn_jax.config import Command, Flag
from cnn_jax.errors import UserError
from cnn_jax.modes.mode import Mode, new_workdir
from cnn_jax.runtime.own_command import own_command
from cnn_jax.submission.options import options
from cnn_jax.submission.submit import Cluster, submit
from cnn_jax.tracking.chosen import chosen

LAUNCH = Flag(
    "launch",
    Cluster | None,
    None,
    "Run this command as a job of Slurm (or local: here, in the background), which resumes when it "
    "was preempted; with --jobs=N, as N jobs",
)
SLURM = Flag(
    "slurm",
    str,
    "",
    "What each job asks for: 'partition=gpu,gpus=1,hours=8', also cpus, memory (GB), nodes, and "
    "any option of sbatch",
)
JOBS = Flag(
    "jobs",
    int | None,
    None,
    "Share the work among so many processes, each with a GPU or a part of the CPU's cores",
    minimum=1,
)


def run(command: Command) -> None:
    """Submits the command without --launch."""
    flags = command.flags
    asked = options(flags.slurm)
    if flags.distributed:
        asked["tasks_per_node"] = asked.get("gpus_per_node", 1)
    elif asked.get("nodes", 1) > 1:
        raise UserError("--slurm: several nodes train together only with --distributed")
    chosen(flags.track, command.recipe.names)
    whole = new_workdir(command)
    with whole.created():
        workdir = whole.folder.absolute()
        again = own_command({"launch", "slurm", "jobs", "workdir"}, f"--workdir={workdir}")
        name = {"name": f"cnn_jax-{command.recipe.name}"}
        jobs = submit(again, flags.jobs or 1, flags.launch, name | asked, workdir / flags.launch)
    for number, log in jobs:
        print(f"job {number} prints to {log}")
    print(f"-> {whole.folder}; the same command with its --workdir goes on")


MODE = Mode(run, uses_device=False)
