"""Writes the generated tables of README and docs/.

    python -m cnn_jax.docs_tables

rewrites them. A table stands between `<!-- KIND arguments -->` and `<!-- /KIND -->`:

- `results NAME ...`: measured recipes; all of them if none is named.
- `unverified`: recipes without a measured number.
- `volumes NAME`: the layers of a recipe's net.
- `parts MODULE [CLASS]`: the classes that a recipe may name; with CLASS, only its subclasses.
- `tricks`: the results of benchmarks/tricks.py.
- `families FILE`: a result file of benchmarks/families.py.
- `side_by_side PYTHON [PRECISION]`: results of benchmarks/side_by_side.py, of a version of Python;
  in float32, or in PRECISION.
- `scaling NET` and `plans`: results of benchmarks/scaling_plan.py.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path

from cnn_jax import config, models
from cnn_jax.analysis.volumes import of_experiment, volumes
from cnn_jax.config.names import NAMES
from cnn_jax.report.volume_table import to_markdown
from cnn_jax.results.benchmark_tables import families_table, side_by_side_table
from cnn_jax.results.recipes_table import measured_table, unverified_table
from cnn_jax.results.scaling_table import plans_table, scaling_table
from cnn_jax.results.tricks_table import tricks_table

ROOT = Path(__file__).resolve().parents[1]


def _volumes(name: str) -> str:
    if name in models.__all__:
        shape, classes = getattr(models, name)().published_on
        table = volumes(getattr(models, name)(num_classes=classes), shape)
    else:
        table = of_experiment(config.load(name, NAMES).experiment)
    return to_markdown(table).rstrip("\n")


def _parts(module_name: str, class_name: str | None = None) -> str:
    module = importlib.import_module(f"cnn_jax.{module_name}")
    kind = getattr(module, class_name) if class_name else object
    lines = ["| component | description |", "|---|---|"]
    for name, part in config.public_names(module).items():
        if not isinstance(part, type) or not issubclass(part, kind):
            continue
        settings = ", ".join(map(_setting, inspect.signature(part).parameters.values()))
        about = (inspect.getdoc(part) or "").partition("\n")[0]
        lines.append(f"| `{name}({settings})` | {about} |")
    return "\n".join(lines)


def _setting(field: inspect.Parameter) -> str:
    if field.default is field.empty:
        return field.name
    value = f"{field.default:.6g}" if isinstance(field.default, float) else repr(field.default)
    return f"{field.name}={value}"


KINDS: dict[str, Callable[..., str]] = {
    "results": lambda *names: measured_table(names),
    "unverified": unverified_table,
    "volumes": _volumes,
    "parts": _parts,
    "tricks": tricks_table,
    "families": families_table,
    "side_by_side": side_by_side_table,
    "scaling": scaling_table,
    "plans": plans_table,
}


def refreshed(text: str) -> str:
    """The text of a page with its generated tables up to date."""

    def written(part: re.Match[str]) -> str:
        return f"{part[1]}\n{KINDS[part[2]](*part[3].split())}\n{part[4]}"

    kinds = "|".join(KINDS)
    generated = rf"(<!-- ({kinds})\b(.*?)-->)\n.*?(<!-- /\2 -->)"
    return re.sub(generated, written, text, flags=re.DOTALL)


def pages() -> list[Path]:
    """README and the pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def refresh() -> None:
    """Rewrites the generated tables of every page."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = refreshed(text)
        if new != text:
            page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    refresh()
