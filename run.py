"""Runs an experiment: `python run.py --help`."""

import signal
import sys

from cnn_jax.runtime import malloc

if __name__ == "__main__":
    malloc.tune(sys.argv)

    # Ctrl-C while libraries load ends the process at once: some make another error of it.
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cnn_jax.cli import main

    # `main` heeds signals; one that comes while the process ends has nothing left to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    sys.exit(main(sys.argv))
