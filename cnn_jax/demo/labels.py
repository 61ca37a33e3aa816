"""All texts of the page."""

import math

from cnn_jax.analysis.layer import Layer
from cnn_jax.analysis.neuron import Neuron
from cnn_jax.analysis.volumes import Row
from cnn_jax.errors import shape_text

# The tab Layers.
LAYERS = "Layers"
LAYERS_WHAT = "Choose a layer. Then click on one of its slices to choose a neuron."
VOLUMES_ALT = "A row of blocks, one for each layer's output volume, drawn to scale."
LAYER = "Layer"
FACTS = "This layer"
FACT, VALUE = "Property", "Value"
FILTERS = "### Filters"
FILTERS_ALT = "The filters of this layer, one small picture each."
SLICES_ALT = "The channels of the layer's output volume for the picture, side by side."
NEURON = "### The neuron"
OTHER_NEURON = "### The same weights at another place"
NEURON_ALT = "The picture with a box around what the neuron sees, its input, weights and products."
ROW, COLUMN, CHANNEL = "Row", "Column", "Channel"
NO_LAYERS = "No layer of this net can be shown."

# The tab Test set.
TEST_SET = "Test set"
TEST_SET_WHAT = "Click on a cell of the matrix to see its images. Choose one to classify it."
MATRIX_ALT = "The confusion matrix: a row for each true class, a column for each predicted class."
TRUE_CLASS, PREDICTED_CLASS = "True class", "Predicted class"
CELL_IMAGES = "The images of the cell"
RELIABILITY = "### How often the net is right when it claims to be sure"
RELIABILITY_ALT = (
    "The reliability diagram: accuracy against confidence, and the images of each bin."
)

# The tab Watch it train.
WATCH = "Watch it train"
WATCH_TRAINING = "The page follows this run. What it learns in an epoch appears at the epoch's end."
WATCH_FINISHED = "This run has finished. Open the page of one that trains to watch it."
CURVES = "### Learning curves"
CURVES_ALT = "Loss and accuracy on the training and the validation images against the epoch."
MOMENT = "Go back to an earlier epoch"
WATCH_FILTERS_ALT = "The filters of the first layer after this epoch."
ACTIVATIONS = "### What the layers make of one picture"
ACTIVATIONS_ALT = "A test image, its top classes, and a row of slices for each layer."
NO_EPOCH = "Waiting for the end of the first epoch."


def layer_choice(number: int, row: Row) -> str:
    """A layer in the list of layers."""
    return f"{number + 1}. {row.name}: {row.what}, {shape_text(row.volume)}"


def slices_of(row: Row, shown: int) -> str:
    """The title of a layer's slices."""
    depth = row.volume[2]
    part = f"the first {shown} of {depth}" if shown < depth else f"all {depth}"
    return f"### Slices of {row.name} for this picture: {part}"


def facts(layer: Layer, row: Row) -> list[list[str]]:
    """What a layer is and costs: pairs of a property and its value."""
    found = [
        ["Takes", shape_text(layer.input)],
        ["Gives", shape_text(layer.output)],
        ["A neuron sees", f"{shape_text(layer.receptive_field)} pixels of the picture"],
    ]
    if layer.weights:
        depth = layer.output[2]
        each = layer.weights // depth
        size = layer.window or ()
        sides = shape_text((*size, each // math.prod(size))) + " = " if size else ""
        found += [
            ["Weights of a neuron", f"{sides}{each:,}"],
            ["Weights of the layer", f"{depth:,} x {each:,} = {layer.weights:,}"],
            ["Biases, scales, shifts", f"{row.biases:,}"],
        ]
    if layer.kind == "conv":
        places = shape_text(layer.output[:2])
        found.append(["Neurons with the same weights", f"those at all {places} places"])
    if row.fully_connected and layer.kind == "conv":
        found.append(["Weights if fully connected", f"{row.fully_connected:,}"])
    found.append(["Multiply-adds for a picture", f"{row.multiply_adds:,}"])
    return found


def neuron_title(layer: Layer, neuron: Neuron) -> str:
    """The line above a neuron's pictures."""
    row, column, channel = neuron.position
    place = f"row {row}, column {column}, " if layer.output[:2] != (1, 1) else ""
    text = f"{place}channel {channel}: {neuron.output:.2f}"
    if neuron.activation != neuron.output:
        text += f", and {neuron.activation:.2f} after what follows"
    return text


def cell_title(count: int, shown: int, true: str, predicted: str) -> str:
    """The title of the images of a cell of the confusion matrix."""
    images = f"{count:,} {'image' if count == 1 else 'images'}"
    part = f" (the first {shown})" if shown < count else ""
    order = ", most confident first" if count > 1 else ""
    return f"### {images} of {true}, predicted {predicted}{order}{part}"


def cell_image(number: int, value: float, probable: bool) -> str:
    """The caption of a test image, with the value of the predicted class."""
    return f"test {number}: " + (f"{value:.1%}" if probable else f"{value:.3g}")


def moment(epoch: float, step: int) -> str:
    """The title of the first layer's filters at a checkpoint."""
    return f"### Filters of the first layer after epoch {epoch:g} (step {step:,})"
