"""Contenders that take turns on one device: each a process that waits until it is asked.

A contender prints a line of JSON when it is ready, then another for every line that it reads: the
seconds per step of a second or so of steps. All are compiled before the first turn, and only one
computes at a time, so that what slows the machine down for minutes cancels in the ratios.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Contender:
    """The other end of `serve`: a process that measures when it is asked.

    Args:
      command: The process.
      environment: Variables added to this process's.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str]):
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict(environment),
        )

    def read(self) -> dict[str, Any]:
        """Its next answer. Raises RuntimeError if it has ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self._process.args} ended with code {self._process.wait()}")

    def measure(self) -> float:
        """Seconds per step, of one turn."""
        assert self._process.stdin is not None
        self._process.stdin.write("measure\n")
        self._process.stdin.flush()
        return self.read()["seconds"]

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def serve(facts: Mapping[str, Any], seconds_per_step: Callable[[], float]) -> None:
    """Answers on standard output, until standard input ends."""
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": seconds_per_step()}), flush=True)


def take_turns(
    commands: Mapping[str, tuple[list[str], Mapping[str, str]]], turns: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Starts the contenders, lets each measure `turns` times in turn, and yields what they report.

    Yields:
      The name, and the facts that it reported when it was ready with `step_seconds`, a list; or
      `left_out`, the reason why it could not run.
    """
    with contextlib.ExitStack() as stack:
        running, facts = {}, {}
        for name, (command, environment) in commands.items():
            contender = Contender(command, environment)
            stack.callback(contender.close)
            try:
                facts[name] = contender.read()
                running[name] = contender
            except RuntimeError as error:
                yield name, {"left_out": str(error)}
        taken: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(turns):
            for name, contender in running.items():
                taken[name].append(contender.measure())
        for name in running:
            yield name, facts[name] | {"step_seconds": taken[name]}
