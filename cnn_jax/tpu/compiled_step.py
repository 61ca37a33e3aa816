"""Compiles a program for a slice, and keeps what the compiler says about it."""

import hashlib
import json
import re
import time
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import jax
from jax.stages import Compiled, Lowered

from cnn_jax.errors import RunFailed, first_line
from cnn_jax.runtime import compile_cache, hardware
from cnn_jax.storage import json_checks
from cnn_jax.storage.json_files import write_json
from cnn_jax.tpu.collectives import Collective, collectives
from cnn_jax.tpu.slices import Slices

# Operations by which a program waits for Python.
_CALLBACK = re.compile(r'custom_call_target="[^"]*callback')
# A change of what is kept, or of how it is read from the program, is a new number.
VERSION = 1


@dataclass(frozen=True)
class CompiledStep:
    """What the compiler says about a step, for each chip.

    Attributes:
      arguments: Bytes of the arguments: state and data.
      results: Bytes of the results that do not take the place of arguments.
      temporary: Bytes of intermediate values.
      code: Bytes of the program.
      flops: Floating-point operations, as the compiler counts them.
      bytes_accessed: Bytes that operations read and write, in HBM and in the chip's fast memory.
      callbacks: Operations that wait for the host.
      collectives: The exchanges between chips.
      compile_seconds: How long the compiler took.
    """

    arguments: int
    results: int
    temporary: int
    code: int
    flops: float
    bytes_accessed: float
    callbacks: int
    collectives: tuple[Collective, ...]
    compile_seconds: float

    @property
    def memory(self) -> int:
        """Bytes of HBM that a step needs."""
        return self.arguments + self.results + self.temporary + self.code

    def remarks(self) -> list[str]:
        """What a data-parallel step on TPUs should not have."""
        # Of several slices, the compiler itself makes a sum of three: it is scattered within each
        # slice, exchanged between them, and gathered.
        sums = {"all-reduce"}
        if any(one.between_slices for one in self.collectives):
            sums |= {"reduce-scatter", "all-gather"}
        kinds = Counter(one.kind for one in self.collectives if one.kind not in sums)
        found = [f"{number} {kind}: a step needs sums alone" for kind, number in kinds.items()]
        if self.callbacks:
            found.append(f"{self.callbacks} callbacks: the chip waits for Python")
        return found


def compiled_step(lowered: Lowered, slices: Slices, place: Path | None) -> CompiledStep:
    """Compiles a step.

    Args:
      lowered: The step, traced for the devices of the slices.
      slices: The slices.
      place: Where the result is kept, as `place_of` says; None: nowhere.

    Raises:
      RunFailed: the compiler refuses the program, as where it does not fit in a chip's memory.
    """
    begin = time.perf_counter()
    try:
        program = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        full = "RESOURCE_EXHAUSTED" in str(error)
        hint = ": lower --config.batch_size, or take more chips" if full else ""
        reason = first_line(error)
        raise RunFailed(f"the compiler for {slices.topology} says: {reason}{hint}") from error
    step = _facts(program, time.perf_counter() - begin)
    if place:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, asdict(step))
    return step


def _facts(program: Compiled, seconds: float) -> CompiledStep:
    memory: Any = program.memory_analysis()
    costs: Any = program.cost_analysis()
    text = program.as_text() or ""
    return CompiledStep(
        arguments=memory.argument_size_in_bytes,
        results=memory.output_size_in_bytes - memory.alias_size_in_bytes,
        temporary=memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        flops=costs["flops"],
        bytes_accessed=costs["bytes accessed"],
        callbacks=len(_CALLBACK.findall(text)),
        collectives=collectives(text),
        compile_seconds=seconds,
    )


def place_of(lowered: Lowered, slices: Slices) -> Path | None:
    """Where the result for a program and a compiler is kept; None if the cache is off."""
    folder = compile_cache.folder()
    if not folder:
        return None
    versions = {name: hardware.software().get(name) for name in ("jaxlib", "libtpu")}
    facts = json.dumps([VERSION, slices.topology, slices.number, versions])
    digest = hashlib.sha256(f"{facts}\n{lowered.as_text()}".encode()).hexdigest()
    return Path(folder, "slices", f"{digest[:32]}.json")


def kept_step(place: Path | None) -> CompiledStep | None:
    """What was kept when the step was compiled before; None if there is none, or it is damaged."""
    if place is None:
        return None
    try:
        content = json_checks.loads(place.read_bytes())
        found = [
            Collective(**{**one, "axes": tuple(one["axes"])}) for one in content["collectives"]
        ]
        numbers = {field.name: content[field.name] for field in fields(CompiledStep)}
        return CompiledStep(**{**numbers, "collectives": tuple(found)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
