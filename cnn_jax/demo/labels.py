"""All texts of the page."""

import math

from cnn_jax.analysis.layer import Layer
from cnn_jax.analysis.neuron import Neuron
from cnn_jax.analysis.spatial_arrangement import Filters
from cnn_jax.analysis.volumes import Row
from cnn_jax.errors import shape_text
from cnn_jax.report import colours

# The page.
TITLE = "A ConvNet, live"

# The tab Classify.
CLASSIFY = "Classify"
ONLY_ITS_CLASSES = "The net knows its own classes only: it names one of them for any picture."
CLASSIFY_WHAT = f"Choose a test image, upload or paste a picture, or draw one. {ONLY_ITS_CLASSES}"
CLASSIFY_OWN = f"Upload or paste a picture, or draw one. {ONLY_ITS_CLASSES}"
NO_PICTURE = "## No picture yet"
TEST_IMAGES = "Test images"
OTHER_IMAGES = "Other test images"
UPLOAD = "Upload or paste"
DRAW = "Draw"
DRAWING = "Your drawing"
DRAW_HOW = "Choose the brush, then draw."
CLASSIFY_DRAWING = "Classify the drawing"
# Black, then Okabe and Ito's colours.
BRUSHES = ("#000000", *(getattr(colours, name) for name in ("BLUE", "ORANGE", "GREEN", "PURPLE")))
CORRUPTION = "Corruption"
NO_CORRUPTION = "none"
SEVERITY = "Severity"
# Caption and description.
PICTURES = {
    "seen": ("Net input", "The picture as the net sees it"),
    "grad_cam": ("Grad-CAM", "Grad-CAM: where the last volume supports the top class"),
    "saliency": ("Saliency", "Saliency: which pixels change the top class's score"),
    "smooth_grad": ("SmoothGrad", "SmoothGrad: mean saliency over noisy copies of the picture"),
}
SMOOTH = "Compute"
TOP = "Top classes"
CLASS, SCORE = "Class", "Score"

# The tab Layers.
LAYERS = "Layers"
LAYERS_WHAT = "Click on a volume to choose a layer, then on one of its slices to choose a neuron."
VOLUMES_ALT = "A row of blocks, one for each layer's output volume, drawn to scale."
LAYER = "Layer"
FACT, VALUE = "This layer", "Value"
FILTERS = "## Filters, in the colours that they respond to"
FILTERS_ALT = "The filters of this layer, one small picture each."
SLICES_ALT = "The channels of the layer's output volume for the picture, side by side."
NEURON = "## The neuron"
NEURON_ALT = (
    "The neuron: the picture with a box around what it sees, its input, weights and products."
)
OTHER_NEURON_ALT = "The same for the neuron at another place."
ROW, COLUMN, CHANNEL = "Row", "Column", "Channel"
NO_LAYERS = "No layer of this net can be shown."

# The tab Build a layer.
BUILD = "Build a layer"
BUILD_WHAT = "Move the sliders, or start from one of the lesson's examples."
PRESET = "Example"
PRESETS = {
    "lesson": "Ten 5x5 filters on 32x32x3",
    "neuron_32": "3,072 weights: a neuron on 32x32x3",
    "neuron_200": "120,000 weights: a neuron on 200x200x3",
    "misfit": "A stride that does not fit",
    "alexnet": "AlexNet's first layer",
    "vgg": "VGG: 3x3 keeps the side",
    "connected": "Fully connected, as a convolution",
}
SIZES = (
    "W: side of the image",
    "D: depth of the image",
    "F: side of a filter",
    "S: stride",
    "P: zeros at each border",
    "K: filters",
)
WINDOWS_ALT = (
    "One row of the image, with the zeros at its ends, and the windows of the filter below."
)
BUILT_ALT = "The input and the output volume as blocks, drawn to scale."
YOUR_LAYER = "your layer"

# The tab Test set.
TEST_SET = "Test set"
TEST_SET_WHAT = (
    "Click on a cell of the matrix, which is in percent of each true class, to see its images: at "
    "first the most frequent mistake. Each has its number and the probability of the predicted "
    "class. Choose one to classify it."
)
MATRIX_ALT = "The confusion matrix: a row for each true class, a column for each predicted class."
TRUE_CLASS, PREDICTED_CLASS = "True class", "Predicted class"
CELL_IMAGES = "The images of the cell"
RELIABILITY = "## How often the net is right when it claims to be sure"
RELIABILITY_ALT = (
    "The reliability diagram: accuracy against confidence, and the images of each bin."
)

# The tab Watch it train.
WATCH = "Watch it train"
WATCH_TRAINING = "The page follows this run. What it learns in an epoch appears at the epoch's end."
WATCH_FINISHED = "This run has finished. Open the page of one that trains to watch it."
CURVES = "## Learning curves"
CURVES_ALT = "Loss and accuracy on the training and the validation images against the epoch."
MOMENT = "Go back to an earlier epoch"
WATCH_FILTERS_ALT = "The filters of the first layer after this epoch."
ACTIVATIONS = "## What the layers make of one picture"
ACTIVATIONS_ALT = "A test image, its top classes, and a row of slices for each layer."
NO_EPOCH = "At each epoch's end, the filters of the first layer appear here."


def kind(name: str) -> str:
    """A kind of corruption: "glass_blur" becomes "glass blur"."""
    return name.replace("_", " ")


def test_image(number: int, true: str) -> str:
    """The name of a test image."""
    return f"test {number}, true class: {true}"


def picture_title(name: str) -> str:
    """The title of the chosen picture."""
    return f"## {name}"


def calibrated(temperature: float | None) -> str:
    """The choice of calibrated probabilities."""
    at = f"temperature {temperature:.3g}, fitted on validation images" if temperature else ""
    return f"Calibrated probabilities ({at})"


def bad_picture(error: Exception) -> str:
    """The line on a file that cannot be read."""
    return f"**{error}**"


def arithmetic(sizes: tuple[int, ...], filters: Filters | None, reason: str) -> str:
    """The computation of the output volume of W, D, F, S, P, K, or why there is none."""
    side, _, window, stride, padding, _ = sizes
    if filters is None:
        return f"## No output volume\n\n{reason[0].upper()}{reason[1:]}."
    formula = f"({side} - {window} + 2*{padding})/{stride} + 1 = {filters.output[0]}"
    return f"## Output: {shape_text(filters.output)}\n\n(W - F + 2P)/S + 1 = {formula}"


def counts(filters: Filters) -> list[list[str]]:
    """What a layer needs: pairs of a property and its value."""
    each = filters.weights_per_neuron
    sides = shape_text((filters.window, filters.window, filters.input[2]))
    connected = math.prod(filters.input) * filters.neurons
    return [
        ["Neurons", f"{shape_text(filters.output)} = {filters.neurons:,}"],
        ["Weights of a neuron", f"{sides} = {each:,}"],
        [
            "Weights and biases, shared",
            f"{filters.count:,} x ({each:,} + 1) = {filters.parameters:,}",
        ],
        ["Weights and biases, not shared", f"{filters.parameters_without_sharing:,}"],
        ["Weights and biases, fully connected", f"{connected + filters.neurons:,}"],
        ["Multiply-adds for an image", f"{filters.neurons * each:,}"],
    ]


def layer_choice(number: int, row: Row) -> str:
    """A layer in the list of layers."""
    return f"{number + 1}. {row.name}: {row.what}, {shape_text(row.volume)}"


def slices_of(row: Row, shown: int) -> str:
    """The title of a layer's slices."""
    height, width, depth = row.volume
    what = "Values" if height == width == 1 else "Slices"
    part = f"the first {shown} of {depth:,}" if shown < depth else f"all {depth}"
    return f"## {what} of {row.name} for this picture: {part}"


def filters_of(count: int, shown: int, depth: int, slices: int) -> str:
    """The title of the filters of a layer that takes another layer's volume."""
    first = f"the first {shown} of {count:,}" if shown < count else f"all {count}"
    part = f"{slices} of its {depth:,} slices" if slices < depth else f"its {depth} slices"
    return f"## Filters: {first}, each with {part} in a row"


def facts(layer: Layer, row: Row) -> list[list[str]]:
    """What a layer is and costs: pairs of a property and its value."""
    found = [
        ["Input volume", shape_text(layer.input)],
        ["Output volume", shape_text(layer.output)],
        [
            "A neuron sees (receptive field)",
            f"{shape_text(layer.receptive_field)} pixels of the picture",
        ],
    ]
    if layer.weights:
        depth = layer.output[2]
        each = layer.weights // depth
        flat = layer.output[:2] == (1, 1)
        size = layer.window or (layer.input[:2] if flat else (1, 1))
        sides = shape_text((*size, each // math.prod(size))) + " = "
        found += [
            ["Weights of a neuron", f"{sides}{each:,}"],
            ["Weights of the layer", f"{depth:,} x {each:,} = {layer.weights:,}"],
            ["Biases, scales, shifts", f"{row.biases:,}"],
        ]
    if layer.kind == "conv":
        height, width, _ = layer.output
        shared = f"{height}x{width} = {height * width:,}"
        found.append(["Neurons that share these weights", shared])
    if row.fully_connected and layer.kind == "conv":
        found.append(["Weights if fully connected", f"{row.fully_connected:,}"])
    found.append(["Multiply-adds for a picture", f"{row.multiply_adds:,}"])
    return found


def facts_table(layer: Layer, row: Row) -> str:
    """The facts of a layer, as a table in Markdown."""
    return _table(facts(layer, row))


def counts_table(filters: Filters) -> str:
    """What a layer needs, as a table in Markdown."""
    return _table(counts(filters))


def _table(pairs: list[list[str]]) -> str:
    rows = [f"| {name} | {value} |" for name, value in pairs]
    return "\n".join([f"| {FACT} | {VALUE} |", "| --- | --- |", *rows])


def other_neuron(layer: Layer) -> str:
    """The heading of the second neuron of a channel."""
    return f"## The same {'weights' if layer.weights else 'window'} at another place"


def neuron_title(layer: Layer, neuron: Neuron, last: bool) -> str:
    """The line above a neuron's pictures."""
    row, column, channel = neuron.position
    place = f"row {row}, column {column}, " if layer.output[:2] != (1, 1) else ""
    text = f"{place}channel {channel}: {neuron.output:.2f}"
    if neuron.activation != neuron.output:
        text += f"; {'the score is' if last else 'the next layer gets'} {neuron.activation:.2f}"
    return text


def cell_title(count: int, shown: int, true: str, predicted: str) -> str:
    """The title of the images of a cell of the confusion matrix."""
    images = f"{count:,} {'image' if count == 1 else 'images'}"
    part = f" (the first {shown})" if shown < count else ""
    order = ", most confident first" if count > 1 else ""
    return f"## {images} of {true}, predicted {predicted}{order}{part}"


def cell_image(number: int, value: float, probable: bool) -> str:
    """The caption of a test image: its number, and the value of the predicted class."""
    return f"{number}: " + (f"{value:.0%}" if probable else f"{value:.3g}")


def moment(epoch: float, step: int) -> str:
    """The title of the first layer's filters at a checkpoint."""
    return f"## Filters of the first layer after epoch {epoch:g} (step {step:,})"
