"""Reads the exchanges between devices from a compiled program."""

import math
import re
from dataclasses import dataclass

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
)
_INSTRUCTION = re.compile(rf"= (\(.*?\)|\S+) ({'|'.join(KINDS)})(-start)?\(")
# Between slices, the hosts exchange what each chip sends to its own.
_SENT = re.compile(r"= \((.*?)\) send\(")
_TRANSFER = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_COMMENT = re.compile(r"/\*.*?\*/")
_LAYOUT = re.compile(r"\{[^{}]*\}")
# Forms in which XLA writes which devices take part: by axes of the mesh, as groups of numbers
# that are counted, and as lists of numbers.
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}")
_COUNTED = re.compile(r"replica_groups=\[\d+,(\d+)\]")
_LISTED = re.compile(r"replica_groups=\{\{([\d,]+)\}")
_NAME = re.compile(r'op_name="([^"]*)"')


@dataclass(frozen=True)
class Collective:
    """One exchange between devices.

    Attributes:
      kind: Such as "all-reduce".
      bytes: Of its operand on each device, or of its result if that is larger.
      devices: Number of devices that exchange with each other; 0: the program does not say.
      axes: The axes of the mesh over which it runs; () if the program does not say.
      name: Where in the traced program it is from.
      between_slices: Whether it runs between slices, over the data-centre network.
    """

    kind: str
    bytes: int
    devices: int
    axes: tuple[str, ...]
    name: str
    between_slices: bool = False


def collectives(program: str) -> tuple[Collective, ...]:
    """Returns the exchanges in a compiled program, each once, also if a loop repeats it.

    Args:
      program: XLA's text of the program (`Compiled.as_text()`).
    """
    found = []
    for line in program.splitlines():
        plain = _COMMENT.sub("", line)
        # Layouts hold parentheses, as {1,0:T(8,128)}, but `replica_groups` comes after the match.
        head, _, tail = plain.partition("replica_groups=")
        head = _LAYOUT.sub("", head)
        name = origin[1] if (origin := _NAME.search(plain)) else ""
        if match := _INSTRUCTION.search(head):
            shapes, kind, start = match.groups()
            arrays = [_bytes(*array) for array in _ARRAY.findall(shapes)]
            devices, axes = _group(f"replica_groups={tail}")
            # What starts an exchange other than a sum returns its operand, result and context.
            size = sum(arrays) if not start or kind == "all-reduce" else max(arrays)
            if kind == "reduce-scatter" and not start:
                size *= devices
            found.append(Collective(kind, size, devices, axes, name))
        elif (sent := _SENT.search(head)) and (transfer := _TRANSFER.search(plain)):
            kind = transfer[1].lower().replace("_", "-")
            size = _bytes(*_ARRAY.findall(sent[1])[0])
            found.append(Collective(kind, size, 0, (), name, between_slices=True))
    return tuple(found)


def _bytes(dtype: str, bits: str, shape: str) -> int:
    size = 1 if dtype == "pred" else int(bits) / 8
    return int(size * math.prod(int(side) for side in shape.split(",") if side))


def _group(text: str) -> tuple[int, tuple[str, ...]]:
    if mesh := _MESH.search(text):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
        axes = tuple(re.findall(r"'(\w+)'", mesh[2]))
        return math.prod(int(sizes[axis]) for axis in axes), axes
    if counted := _COUNTED.search(text):
        return int(counted[1]), ()
    if listed := _LISTED.search(text):
        return listed[1].count(",") + 1, ()
    return 0, ()
