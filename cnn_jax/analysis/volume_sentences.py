"""States in sentences what a table of volumes shows about weight sharing and full connection."""

import math

from cnn_jax.analysis.volumes import Table
from cnn_jax.errors import shape_text

# The first sentence compares two image sizes: full connection is cheap only on the smaller one.
SMALL, LARGE = 32, 200


def lesson(table: Table) -> list[str]:
    """Describes a table in sentences about weight sharing and full connection."""
    height, width, depth = shape = table.image_shape
    other = (LARGE, LARGE, depth) if max(height, width) < LARGE else (SMALL, SMALL, depth)
    sentences = [
        f"One fully connected neuron on {shape_text(shape)} has {math.prod(shape):,} weights; "
        f"on {shape_text(other)} it has {math.prod(other):,}."
    ]
    first = next((row for row in table.rows if row.weights), None)
    if first and first.kind == "fc":
        sentences.append(
            f"{first.name} has {first.volume[2]:,} of them: {first.weights:,} weights."
        )
    local = next((layer for layer in table.layers if layer.kind == "conv"), None)
    if local and local.window:
        neuron = local.weights // local.output[2]
        patch = shape_text((*local.window, neuron // math.prod(local.window)))
        sentences.append(
            f"A neuron of {local.name} is connected to a patch of {patch}: {neuron:,} weights, "
            f"shared by the neurons at all {shape_text(local.output[:2])} places."
        )
    if table.convolutions:
        weights = sum(row.weights for row in table.convolutions)
        full = sum(row.fully_connected or 0 for row in table.convolutions)
        sentences.append(
            f"The convolutions have {weights:,} weights; fully connected layers between the same "
            f"volumes would need {in_words(full)}: {table.ratio:,.0f} times as many."
        )
    last = table.rows[-1].volume
    if last[:2] == (1, 1):
        sentences.append(f"The last volume is {shape_text(last)}: the class scores.")
    total = table.weights + table.biases
    counted = (
        " parameters" if total == table.parameters else f" of the {total:,} numbers in the table"
    )
    sentences.append(
        f"{table.parameters:,}{counted} are trained; one image takes "
        f"{table.multiply_adds:,} multiply-adds."
    )
    return sentences


def in_words(number: int) -> str:
    """Rounds a large count: 444,596,224 to "445 million", 8,700,000,000 to "8.7 billion"."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= 0.9995 * size:
            share = number / size
            return f"{share:,.0f} {word}" if share >= 99.95 else f"{share:.1f} {word}"
    return f"{number:,}"
