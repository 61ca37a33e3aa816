"""Runs an experiment: `python run.py --help`."""

import sys

from cnn_jax import process

if __name__ == "__main__":
    process.tune(sys.argv)

    from cnn_jax.cli import main

    sys.exit(main(sys.argv))
