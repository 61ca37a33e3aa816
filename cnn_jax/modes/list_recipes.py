"""The flag --list: prints the recipes and the models, with published and measured numbers."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn
from rich.text import Text

from cnn_jax.errors import located_message, shape_text
from cnn_jax.report import tables
from cnn_jax.results import sizes
from cnn_jax.results.recipes_table import accuracy_text, hardware_text, recipe_entries
from cnn_jax.terminal.durations import duration

TITLES = {
    "Measured recipes: python run.py --config=NAME": True,
    "Unverified recipes, not measured with this package yet": False,
}


def show(names: Mapping[str, Any] = MappingProxyType({}), console: Any = None) -> None:
    """Prints the measured recipes, the unverified ones, and the models with their sizes.

    Args:
      names: The names that the loaded recipe may use; its custom models are listed too.
      console: A `rich.console.Console`.
    """
    out = console or tables.console()
    line = functools.partial(out.print, highlight=False, soft_wrap=True)
    entries = list(recipe_entries())
    for title, measured in TITLES.items():
        line(f"{title}\n")
        for entry in (entry for entry in entries if bool(entry.measured) == measured):
            line(Text.assemble((entry.name, "bold"), "  ", entry.about))
            line(f"    published  {entry.published}")
            for row in entry.measured:
                took = f"{duration(row['train_seconds'])} on {hardware_text(row)}"
                line(f"    measured   {accuracy_text(row)} in {took}")
        line()
    known = sizes.table()
    failed = []
    for name, make in names.items():
        if name not in known and _is_net(make):
            try:
                known[name] = sizes.size(make)
            except Exception as error:  # a custom model may need another image size
                failed.append(f"{name} cannot be traced on this shape: {located_message(error)}")
    line("Models, on the images and classes that they are for: --config.model=NAME\n")
    rows = [
        [
            name,
            f"{shape_text(size.image_shape)}, {size.classes:,} classes",
            f"{size.parameters:,}",
            f"{size.forward_flops:,}",
        ]
        for name, size in known.items()
    ]
    out.print(tables.table(["model", "images", "parameters", "forward FLOPs per image"], rows))
    for text in failed:
        line(text, markup=False)


def _is_net(thing: Any) -> bool:
    """Whether this is a class of nets, which have `num_classes`; blocks of a net have not."""
    return (
        isinstance(thing, type)
        and issubclass(thing, nn.Module)
        and "num_classes" in getattr(thing, "__dataclass_fields__", {})
    )
