"""The flag --list: prints the recipes and the models, with published and measured numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn

from cnn_jax.errors import located_message, shape_text
from cnn_jax.report import tables
from cnn_jax.report.progress import duration
from cnn_jax.results import sizes
from cnn_jax.results.listing import accuracy_text, hardware_text, recipe_entries


def show(names: Mapping[str, Any] = MappingProxyType({}), console: Any = None) -> None:
    """Prints both lists.

    Args:
      names: What the recipe at hand may name; models of one's own among it are listed too.
      console: A `rich.console.Console`.
    """
    out = console or tables.console()
    out.print("Recipes: python run.py --config=NAME\n", highlight=False)
    for entry in recipe_entries():
        out.print(f"[bold]{entry.name}[/]  {entry.about}", highlight=False)
        out.print(f"    published  {entry.published}", highlight=False, soft_wrap=True)
        measured = [
            f"{accuracy_text(row)} in {duration(row['train_seconds'])} on {hardware_text(row)}"
            for row in entry.measured
        ]
        for text in measured or ["not measured"]:
            out.print(f"    measured   {text}", highlight=False, soft_wrap=True)
    known = sizes.table()
    rows = [
        [name, f"{size.parameters:,}", f"{size.forward_flops:,}"] for name, size in known.items()
    ]
    failed = []
    for name, make in names.items():
        if name in known or not _is_net(make):
            continue
        try:
            size = sizes.size(make(num_classes=sizes.CLASSES))
            rows.append([name, f"{size.parameters:,}", f"{size.forward_flops:,}"])
        except Exception as error:  # one's own may be for images of another size alone
            failed.append(f"{name} has no sizes for these: {located_message(error)}")
    out.print(
        f"\nModels on {shape_text(sizes.IMAGE_SHAPE)} with {sizes.CLASSES} classes: "
        "--config.model=NAME\n",
        highlight=False,
    )
    out.print(tables.table(["model", "parameters", "forward FLOPs an image"], rows))
    for line in failed:
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _is_net(thing: Any) -> bool:
    """Whether this is a class of nets, and not of a part of one."""
    return (
        isinstance(thing, type)
        and issubclass(thing, nn.Module)
        and "num_classes" in getattr(thing, "__dataclass_fields__", {})
    )
