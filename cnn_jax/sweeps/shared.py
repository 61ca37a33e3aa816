"""Trains the runs of a sweep, beside other processes that do the same."""

import time
from collections.abc import Callable, Sequence

from cnn_jax.runs.workdir import RunBusy
from cnn_jax.sweeps.sweep_folder import Member

# Seconds between two looks at runs that other processes train.
LOOK = 2.0


def train_all(
    members: Sequence[Member], train: Callable[[Member], None], say: Callable[[str], None]
) -> None:
    """Trains each run that has not ended and that no other process trains, until all have ended.

    If another process is killed, its run is resumed here.

    Args:
      members: The runs.
      train: Trains one to its end. Raises RunBusy if another process does.
      say: Prints a line.
    """
    waiting = False
    while True:
        left = [member for member in members if not member.ended()]
        if not left:
            return
        trained = 0
        for member in left:
            if member.ended() or member.run.held():
                continue
            try:
                train(member)
                trained += 1
            except RunBusy:  # in this moment
                continue
        if trained:
            waiting = False
        else:
            if not waiting:
                say(f"waiting for {len(left)} runs that other processes train")
                waiting = True
            time.sleep(LOOK)
