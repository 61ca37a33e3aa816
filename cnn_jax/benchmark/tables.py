"""Tables of a benchmark for the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from cnn_jax.report.tables import table


def tables(result: Mapping[str, Any]) -> Iterator[Table]:
    """Yields the tables of the content of `benchmark.json`."""
    yield table(["measure", "value"], _measures(result))
    yield table(["part of a step", "ms", "share", "measured"], _parts(result))
    yield table(
        ["data", "images", "steps", "ms per step", "ms for the order", "s per epoch", "ratio"],
        _epochs(result),
    )
    if result["batch_sizes"]:
        yield table(["batch size", "ms per step", "p90", "images/s", "TFLOP/s"], _sizes(result))


def _measures(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    warm = result["compile_seconds_warm"]
    compiler = result["train_flops_per_image_compiler"]
    yield "training, images/s", f"{result['train_images_per_second']:,.0f}"
    yield (
        f"inference, images/s (batch {result['eval_batch_size']}, views: {result['tta']})",
        f"{result['eval_images_per_second']:,.0f}",
    )
    yield (
        f"training step, ms (p50, p90 of {result['train_step_samples']} samples)",
        f"{result['train_step_ms_p50']:,.4g}, {result['train_step_ms_p90']:,.4g}",
    )
    yield (
        "compiling the step, s (cold, from the cache)",
        f"{result['compile_seconds_cold']:.2f}, "
        + ("nothing cached" if warm is None else f"{warm:.2f}"),
    )
    yield (
        f"peak memory of the {result['peak_memory_of']}, MiB",
        f"{result['peak_memory_bytes'] / 2**20:,.0f}",
    )
    yield (
        "checkpoint, ms (training blocked, in total), share of an epoch",
        f"{1e3 * result['save_blocking_seconds']:.3g}, {1e3 * result['save_seconds']:.3g}, "
        f"{result['save_share_of_epoch']:.2%}",
    )
    yield "parameters", f"{result['parameters']:,}"
    yield "forward FLOPs per image, by formula", f"{result['forward_flops_per_image']:,}"
    yield (
        "training FLOPs per image (formula: 3 forward per gradient; compiler's count)",
        f"{result['train_flops_per_image']:,}, "
        + ("not available" if compiler is None else f"{compiler:,.0f}"),
    )
    yield "training, TFLOP/s by formula", f"{result['train_tflops_per_second']:.4g}"
    yield (
        f"largest matmul in {result['precision']}, TFLOP/s",
        f"{result['matmul_tflops_per_second']:.4g}",
    )
    yield "utilisation (training over matmul)", f"{result['utilisation']:.1%}"


def _parts(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    step = 1e-3 * result["train_step_ms_p50"]

    def row(name: str, seconds: float, measured: str) -> tuple[str, ...]:
        return name, f"{1e3 * seconds:,.4g}", f"{seconds / step:.1%}", measured

    parts = result["parts"]
    for part in parts:
        if part["of_step"]:
            yield row(part["part"], part["seconds"], part["measured"])
    yield row("whole step", step, "as in training")
    for part in parts:
        if not part["of_step"]:
            yield row(part["part"], part["seconds"], part["measured"])


def _epochs(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    first = result["epochs"][0]["epoch_seconds"]
    for row in result["epochs"]:
        yield (
            f"{row['data']}x",
            f"{row['examples']:,}",
            f"{row['steps']:,}",
            f"{1e3 * row['step_seconds']:,.4g}",
            f"{1e3 * row['order_seconds']:,.3g}",
            f"{row['epoch_seconds']:,.4g}",
            f"{row['epoch_seconds'] / first:.2f}",
        )


def _sizes(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    flops = result["train_flops_per_image"]
    for row in result["batch_sizes"]:
        speed = row["train_images_per_second"]
        yield (
            f"{row['batch_size']:,}",
            f"{row['train_step_ms_p50']:,.4g}",
            f"{row['train_step_ms_p90']:,.4g}",
            f"{speed:,.0f}",
            f"{speed * flops / 1e12:.4g}",
        )
