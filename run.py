"""Runs an experiment: `python run.py --help`."""

import sys

from cnn_jax.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
