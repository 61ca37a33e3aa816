"""Submits a command to a scheduler, once or several times."""

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cnn_jax.errors import RunFailed, UserError
from cnn_jax.submission.job import Job

Cluster = Literal["slurm", "local"]
# A preempted job is queued again without limit, one that ran out of time so many times.
TIMEOUTS = 100
DEFAULT_HOURS = 1


def submit(
    command: Sequence[str],
    number: int,
    cluster: Cluster,
    options: Mapping[str, Any],
    folder: Path,
) -> list[tuple[str, Path]]:
    """Submits a command, several times as an array of jobs.

    Args:
      command: The program and its arguments. It must be one that goes on where it was stopped.
      number: How many jobs run it.
      cluster: "slurm", or "local": on this machine, at once and in the background.
      options: submitit's parameters, as of `options.options`.
      folder: For the scheduler's files and what the jobs print; on a disk that the jobs see.

    Returns:
      For each job its number, and the file that it prints to.

    Raises:
      UserError: submitit or Slurm is missing.
      RunFailed: the scheduler refuses the job.
    """
    if importlib.util.find_spec("submitit") is None:
        raise UserError("--launch needs submitit: pip install -e '.[slurm]'")
    if cluster == "slurm" and not shutil.which("srun"):
        raise UserError("--launch=slurm: there is no Slurm here (no srun)")
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    limit = {f"{cluster}_max_num_timeout": TIMEOUTS}
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **limit)
    executor.update_parameters(
        **{"timeout_min": 60 * DEFAULT_HOURS, "stderr_to_stdout": True, **options}
    )
    try:
        with executor.batch():
            jobs = [executor.submit(Job(command)) for _ in range(number)]
    except (FailedJobError, FailedSubmissionError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise RunFailed(f"--launch={cluster}: {lines[-1] if lines else 'refused'}") from error
    return [(job.job_id, Path(job.paths.stdout)) for job in jobs]
