#!/bin/bash
# Trains on several nodes under Slurm, one process for each node with all its GPUs:
#
#   sbatch launch/slurm.sh --config=cifar10_resnet18 --workdir=runs/mine
#
# Two minutes before the time limit, Slurm sends SIGUSR1: the job saves, and submits itself again to
# resume. JAX finds the nodes in Slurm's variables.
#SBATCH --job-name=cnn_jax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out

set -uo pipefail

srun --kill-on-bad-exit=1 .venv/bin/python run.py --distributed "$@"
code=$?
if [ "$code" -eq 138 ] || [ "$code" -eq 143 ]; then # SIGUSR1, SIGTERM: saved
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
