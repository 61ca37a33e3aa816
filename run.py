"""Runs an experiment: `python run.py --help`."""

import signal
import sys

# Ctrl-C while libraries load ends the process at once: some make another error of it.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from cnn_jax.runtime import malloc

if __name__ == "__main__":
    malloc.tune(sys.argv)

    from cnn_jax.cli import main
    from cnn_jax.runtime import signals

    with signals.ignored_afterwards():
        sys.exit(main(sys.argv))
