"""Runs an experiment: `python run.py --help`."""

import importlib.util
import signal
import sys

# Ctrl-C while libraries load ends the process at once: some make another error of it.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from cnn_jax.runtime import malloc, supervisor

if __name__ == "__main__":
    if importlib.util.find_spec("fcntl") is None:  # Windows
        print("error: cnn_jax runs on Linux and macOS; on Windows, run it in WSL", file=sys.stderr)
        sys.exit(2)
    malloc.tune(sys.argv)
    supervisor.supervise(sys.argv)
    try:
        importlib.import_module("jax")
    except ValueError as error:  # JAX checks its environment variables as it is imported
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

    from cnn_jax.cli import main
    from cnn_jax.runtime import signals

    with signals.ignored_afterwards():
        sys.exit(main(sys.argv))
