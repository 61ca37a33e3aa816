#!/bin/bash
# Trains on all hosts of a TPU slice, such as a v5litepod-16 with four of them:
#
#   launch/tpu_vm.sh NAME ZONE --config=cifar10_resnet18 --workdir=runs/mine
#
# The checkout is copied to every host. JAX finds the hosts in the TPU's metadata. The workdir is on
# host 0, which alone writes it.
set -euo pipefail

name=$1 zone=$2
shift 2
all=(gcloud compute tpus tpu-vm)

"${all[@]}" scp --recurse --zone="$zone" --worker=all . "$name":cnn_jax
"${all[@]}" ssh "$name" --zone="$zone" --worker=all --command="
  cd cnn_jax &&
  python3 -m venv .venv && .venv/bin/pip install --quiet --editable '.[tpu]' &&
  .venv/bin/python run.py --distributed $(printf '%q ' "$@")
"
