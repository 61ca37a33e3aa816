"""What a task of the accelerator benchmark is: a function that yields rows, in a process."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Context:
    """What a task is given.

    Attributes:
      rehearse: Whether to run on tiny nets and data, for seconds: only the code is tried.
      scratch: A folder that outlives the process, for runs that are resumed.
      data_dir: Where TFDS data is; None: `$TFDS_DATA_DIR`.
      torch_python: A Python that has PyTorch; "" if there is none.
      peers: Folder of checkouts of the peers' code; None: they are left out.
      rows: The rows that are recorded already, by name.
    """

    rehearse: bool
    scratch: Path
    data_dir: str | None
    torch_python: str
    peers: Path | None
    rows: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A part of the benchmark that runs in a process of its own.

    Attributes:
      name: Its name; the names of its rows begin with it.
      stage: Number of its stage, in order of value.
      run: Yields rows, each recorded at once. Leaves out those in `Context.rows`.
      limit: Seconds after which it is stopped; what it has yielded stays.
      least: Seconds under which it is not worth starting.
    """

    name: str
    stage: int
    run: Callable[[Context], Iterator[Row]]
    limit: float
    least: float = 30.0
