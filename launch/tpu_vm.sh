#!/bin/bash
# Trains on all hosts of a TPU slice, such as a v5litepod-16 with four of them:
#
#   launch/tpu_vm.sh NAME ZONE --config=cifar10_resnet18 --workdir=runs/mine
#
# The committed code is copied to every host. JAX finds the hosts in the TPU's metadata. The workdir
# is on host 0, which alone writes it: the same command resumes.
set -euo pipefail

if [ $# -lt 3 ]; then
  echo "usage: $0 NAME ZONE FLAGS OF run.py" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
tpu=(gcloud compute tpus tpu-vm)
code=$(mktemp --suffix=.tar.gz)
trap 'rm -f "$code"' EXIT

git archive --format=tar.gz --output="$code" HEAD
"${tpu[@]}" scp --zone="$zone" --worker=all "$code" "$name":cnn_jax.tar.gz
"${tpu[@]}" ssh "$name" --zone="$zone" --worker=all --command="
  mkdir -p cnn_jax && tar -xzf cnn_jax.tar.gz -C cnn_jax && cd cnn_jax &&
  pip install --quiet uv && export PATH=\$HOME/.local/bin:\$PATH &&
  uv venv --quiet --allow-existing --python 3.12 .venv &&
  uv pip install --quiet --editable '.[tpu]' &&
  .venv/bin/python run.py --distributed $(printf '%q ' "$@")
"
