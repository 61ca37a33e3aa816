"""Lets a process go on whose output has no reader any more."""

import os


def discard(descriptor: int) -> None:
    """Discards what will be written to an open file: its reader, or its terminal, has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
