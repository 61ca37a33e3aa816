"""The picture of a net is to scale, names what it shows, fits the page and is always the same."""

from __future__ import annotations

import dataclasses
import functools
import re
from itertools import combinations

import pytest
from PIL import Image

from cnn_jax import models
from cnn_jax.analysis.layer import Layer
from cnn_jax.analysis.structure import layers
from cnn_jax.report import block_figure, block_picture
from cnn_jax.report.block_layout import PAGE, arrange
from cnn_jax.report.block_layout import blocks as blocks_of
from cnn_jax.report.block_solid import KINDS, shade

X = "\N{MULTIPLICATION SIGN}"


@functools.cache
def net(make, size=32):
    return layers(make(num_classes=10), (size, size, 3)), (size, size, 3)


def chain(*steps, image=(32, 32, 3)):
    """Layers of (kind, output, window)."""
    made, before = [], image
    for number, (kind, output, window) in enumerate(steps):
        made.append(Layer(f"{kind}{number}", kind, before, output, (1, 1), window, (1, 1)))
        before = output
    return made, image


def vgg():
    steps = []
    for stage, (depth, number) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]):
        side = 32 >> stage
        steps += [("conv", (side, side, depth), (3, 3))] * number
        steps += [("pool", (side // 2, side // 2, depth), (2, 2))]
    return chain(*steps, *[("fc", (1, 1, 4096), None)] * 2, ("fc", (1, 1, 10), None))


def crowd(name, window):
    """Small blocks with much to say of each."""
    made, image = chain(*[("conv", (1, 1, 4 + i), window) for i in range(9)])
    return [dataclasses.replace(layer, name=name) for layer in made], image


NETS = {
    "long names": lambda: crowd("a_long_name", (3, 3)),
    "long steps": lambda: crowd("c", (101, 101)),
    "mlp": lambda: net(models.MLP),
    "lenet": lambda: net(models.LeNet),
    "convnet": lambda: net(models.ConvNet),
    "convnet at 200": lambda: net(models.ConvNet, 200),
    "quicknet": lambda: net(models.QuickNet),
    "airbench96": lambda: net(models.Airbench96),
    "resnet20": lambda: net(models.ResNet20),
    "resnet18": lambda: net(models.ResNet18),
    "vgg": vgg,
}


def layout_of(found):
    return arrange(found, lambda text: 0.06 * max(map(len, text.split("\n"))))


@pytest.mark.parametrize("name", NETS)
def test_words_are_legible_on_the_page_and_apart(name):
    from matplotlib.text import Annotation, Text

    with block_figure.style():
        figure = block_figure.build(*NETS[name](), title=name)
        figure.draw_without_rendering()
        texts = [
            text
            for text in figure.findobj(Text)
            if text.get_text() and not isinstance(text, Annotation)
        ]
        assert min(text.get_fontsize() for text in texts) >= 7
        boxes = [text.get_window_extent().padded(-0.5) for text in texts]
        page = figure.bbox
    assert figure.get_figwidth() == 7
    for box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1
        assert page.y0 <= box.y0 and box.y1 <= page.y1
    for (one, a), (other, b) in combinations(zip(texts, boxes, strict=True), 2):
        assert not a.overlaps(b), (one.get_text(), other.get_text())


@pytest.mark.parametrize("name", NETS)
def test_blocks_are_to_one_scale_within_the_page_and_apart(name):
    found = blocks_of(*NETS[name]())
    layout = layout_of(found)
    assert [place.block for row in layout.rows for place in row] == found
    for block in found:
        height, width, depth = layout.size(block)
        assert height == max(block.volume[0] * layout.pixel, 0.045)
        assert width == max(block.volume[1] * layout.pixel, 0.045)
        if not layout.is_clipped(block):
            assert depth == max(block.volume[2] * layout.channel, 0.014)
    for row in layout.rows:
        reached = 0.0
        for place in row:
            assert place.left >= reached + 0.1
            _, width, depth = layout.size(place.block)
            reached = place.left + depth + width * 0.345 - 0.1
        assert reached <= PAGE


def test_faces_are_drawn_to_scale():
    from matplotlib.colors import to_hex
    from matplotlib.patches import Polygon

    conv_edge = shade(KINDS["conv"][0], -0.45)
    with block_figure.style():
        figure = block_figure.build(
            *chain(("conv", (16, 8, 48), (3, 3)), ("conv", (8, 4, 96), (3, 3)))
        )
        faces = [
            patch.get_xy()
            for patch in figure.findobj(Polygon)
            if to_hex(patch.get_edgecolor()) == conv_edge
        ]
    # Of each block the front, the top and the right side.
    first, second = faces[:3], faces[3:6]
    high, deep = (
        [face[0][:, axis].max() - face[0][:, axis].min() for face in (first, second)]
        for axis in (1, 0)
    )
    slanted = [face[1][:, 1].max() - face[1][:, 1].min() for face in (first, second)]
    assert high[0] == pytest.approx(2 * high[1])
    assert deep[0] == pytest.approx(deep[1] / 2)
    assert slanted[0] == pytest.approx(2 * slanted[1])
    # Width 8 at 0.45 of its length, 40 degrees up, beside height 16.
    assert slanted[0] / high[0] == pytest.approx(0.5 * 0.45 * 0.643, rel=1e-2)


def test_the_vector_picture_names_volumes_layers_and_steps(tmp_path):
    path = tmp_path / "volumes.svg"
    block_figure.draw(*net(models.ConvNet), path, title="ConvNet() on 32x32x3")
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", path.read_text())
    for text in (
        "ConvNet() on 32x32x3",
        *("INPUT", f"32{X}32{X}3", "Conv_0", f"32{X}32{X}16", "max pool", f"4{X}4{X}64"),
        *("Dense_1", f"1{X}1{X}10", f"conv 3{X}3", f"2{X}2", "fc"),
        *("convolution", "pooling", "fully connected", "what one neuron sees"),
    ):
        assert text in texts
    assert texts.count(f"conv 3{X}3") == 6
    assert any(text.startswith("All blocks are to scale") for text in texts)
    assert any(text.endswith("channels of depth") for text in texts)


def test_the_same_net_gives_the_same_bytes_and_leaves_matplotlib_alone(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    block_figure.draw(*net(models.LeNet), first)
    block_figure.draw(*net(models.MLP), tmp_path / "other.svg")
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "another"}):
        block_figure.draw(*net(models.LeNet), second)
    assert first.read_bytes() == second.read_bytes()
    assert b"dc:date" not in first.read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_the_raster_picture_is_seven_inches_wide(tmp_path):
    path = tmp_path / "volumes.png"
    block_figure.draw(*net(models.LeNet), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width == 1400 and 400 < image.height < 1400
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50


@pytest.mark.parametrize(("depth", "counts"), [(20, (7, 6, 6)), (56, (19, 18, 18))])
def test_equal_volumes_in_a_row_are_one_block_with_a_number(depth, counts):
    found = blocks_of(*net(functools.partial(models.ResNet, depth=depth)))
    assert [block.volume for block in found] == [
        (32, 32, 3),
        (32, 32, 16),
        (16, 16, 32),
        (8, 8, 64),
        (1, 1, 64),
        (1, 1, 10),
    ]
    assert tuple(block.count for block in found) == (1, *counts, 1, 1)
    assert found[1].label == f"32{X}32{X}16\n{counts[0]} convs"
    assert found[2].step == f"conv 3{X}3\nfirst stride 2"


def test_small_nets_show_every_volume():
    found = blocks_of(*net(models.ConvNet))
    assert len(found) == 12
    assert all(block.count == 1 for block in found)


def test_shortcuts_are_named_where_they_join():
    found = blocks_of(*net(models.ResNet18))
    assert [block.count for block in found] == [1, 5, 4, 4, 4, 1, 1]
    assert found[2].step == f"conv 3{X}3\nfirst stride 2\n+ shortcut 1{X}1"
    assert "shortcut" not in found[1].step


def test_a_volume_that_no_layer_made_is_shown_as_joined():
    made, image = chain(("conv", (32, 32, 8), (3, 3)), ("conv", (32, 32, 4), (3, 3)))
    made[1] = dataclasses.replace(made[1], input=(32, 32, 11))  # the image and 8 channels
    assert [(b.kind, b.volume) for b in blocks_of(made, image)][2] == ("join", (32, 32, 11))


def test_only_bars_that_are_too_long_for_the_page_are_broken():
    found = blocks_of(*chain(("fc", (1, 1, 4096), None), ("fc", (1, 1, 64), None)))
    layout = layout_of(found)
    assert [layout.is_clipped(block) for block in found] == [False, True, False]
    with block_figure.style():
        figure = block_figure.build(*chain(("fc", (1, 1, 4096), None)))
        assert any("with a break" in text.get_text() for text in figure.axes[0].texts)
        figure = block_figure.build(*net(models.MLP))
        assert not any("with a break" in text.get_text() for text in figure.axes[0].texts)


def test_a_net_of_many_volumes_goes_over_several_rows():
    steps = [("conv", (32, 32, 16 + 16 * (i % 2)), (3, 3)) for i in range(30)]
    layout = layout_of(blocks_of(*chain(*steps)))
    assert len(layout.rows) > 1
    assert max(len(row) for row in layout.rows) > 6
    assert sum(map(len, layout.rows)) == 31


def test_long_names_and_deep_volumes_stay_on_the_page():
    made, image = chain(("conv", (4, 4, 20000), (3, 3)), ("fc", (1, 1, 9), None), image=(8, 8, 1))
    made[1].name = "a_name_that_goes_on" * 9
    (row, *more) = layout_of(blocks_of(made, image)).rows
    assert max(place.end for r in (row, *more) for place in r) <= PAGE


def test_a_neurons_window_is_drawn_for_local_connection_only():
    with block_figure.style():
        local = block_figure.build(*chain(("conv", (32, 32, 8), (3, 3))))
        full = block_figure.build(*chain(("fc", (1, 1, 8), None)))
    legends = [{text.get_text() for text in figure.axes[0].texts} for figure in (local, full)]
    assert "what one neuron sees" in legends[0] - legends[1]


@pytest.mark.parametrize("make", [models.LeNet, models.ResNet20])
def test_the_blocks_of_a_picture_are_found(make):
    found, shape = net(make)
    drawn = block_picture.picture(found, shape)
    shown = [block.layer for block in blocks_of(found, shape) if block.layer is not None]
    at = []
    for top, bottom, middles in drawn.rows:
        assert 0 <= top < bottom < drawn.picture.shape[0]
        at += [drawn.layer(round(middle), round((top + bottom) / 2)) for middle in sorted(middles)]
        for middle in middles:  # a block is not white
            column = drawn.picture[round(top) : round(bottom), round(middle)]
            assert (column.min(-1) < 250).any()
    assert at == shown
    kinds = [found[number].kind for number in shown]
    assert kinds == [block.kind for block in blocks_of(found, shape) if block.layer is not None]
