"""What nvidia-smi reports of the card: name and driver, and the clocks beside each row."""

import subprocess
from typing import Any

FACTS = ("name", "driver_version", "memory.total", "power.limit", "clocks.max.sm", "clocks.max.mem")
STATE = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "utilization.gpu")


def facts() -> dict[str, Any]:
    """What does not change of the first GPU; empty without nvidia-smi."""
    return _query(FACTS)


def state() -> dict[str, Any]:
    """Its clocks in MHz, temperature in degrees Celsius and power in W; empty without it."""
    return _query(STATE)


def _query(fields: tuple[str, ...]) -> dict[str, Any]:
    try:
        text = subprocess.run(
            ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    values = [value.strip() for value in text.splitlines()[0].split(",")]
    return {name: _number(value) for name, value in zip(fields, values, strict=True)}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
