"""Runs an experiment: `python run.py --help`."""

import sys

from cnn_jax import process

if __name__ == "__main__":
    process.tune(sys.argv)

    try:
        from cnn_jax.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(main(sys.argv))
