"""Checks JAX's own settings: environment variables `JAX_*`, flags `--jax_*`, `jax.config`."""

from typing import Any

import jax

from cnn_jax.errors import UserError

# Settings that training cannot work under: the value, and why.
_REFUSED: dict[str, tuple[Any, str]] = {
    "jax_enable_x64": (True, "training is in float32 or bfloat16, with 32-bit indices"),
    "jax_disable_jit": (True, "every step is compiled ahead of time"),
    "jax_numpy_rank_promotion": ("raise", "images are normalised by broadcasting"),
    **dict.fromkeys(
        (
            "jax_transfer_guard",
            "jax_transfer_guard_host_to_device",
            "jax_transfer_guard_device_to_host",
            "jax_transfer_guard_device_to_device",
        ),
        ("disallow", "numbers are passed to and from the device while it trains"),
    ),
}
_CHANGING_RESULTS = (
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_default_matmul_precision",
)


def check() -> None:
    """Raises UserError if JAX has a setting that this package cannot work under."""
    settings: Any = jax.config
    for name, (refused, reason) in _REFUSED.items():
        value = getattr(settings, name)
        if value == refused or (isinstance(refused, str) and value == f"{refused}_explicit"):
            raise UserError(
                f"JAX's setting {name} is {value}, but {reason}: unset it "
                f"(${name.upper()}, --{name} or jax.config)"
            )


def changing_results() -> dict[str, Any]:
    """Returns the settings that training can work under, but which change its results."""
    return {name: getattr(jax.config, name) for name in _CHANGING_RESULTS}
