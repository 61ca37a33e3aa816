#!/bin/bash
# Trains on several nodes under Slurm, one process for each GPU:
#
#   sbatch launch/slurm.sh --config=cifar10_resnet18 --workdir=runs/mine
#
# Set the numbers of nodes and of GPUs; on nodes without GPUs, start one process for each. The
# workdir must be on a disk that all nodes share, or process 0 may not find it again. Two minutes
# before the time limit, Slurm sends SIGUSR1: the job saves, and is queued again to resume. So is a
# job that has lost a process or a node, at most ten times.
#SBATCH --job-name=cnn_jax
#SBATCH --nodes=2
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out

set -uo pipefail

# The flags of the command line come later, and count.
srun --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  .venv/bin/python run.py --distributed --workdir="runs/slurm-$SLURM_JOB_ID" "$@"
code=$?
case $code in
  138 | 143) again=1 ;; # SIGUSR1, SIGTERM: saved
  1 | 134 | 137) again=$((${SLURM_RESTART_COUNT:-0} < 10)) ;; # a process is lost
  *) again=0 ;;
esac
if [ "$again" -eq 1 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
