"""Renders a report on runs as one self-contained HTML page."""

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from cnn_jax.report.chart import COLOURS, Curve, chart
from cnn_jax.storage import json_checks

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --quiet: #59636e; --line: #d8dee4;
  --page: #ffffff; --c0: #0b62b0; --c1: #c2410c; --c2: #0f7b5f; --c3: #9a3b8f; --c4: #8a6100;
  --c5: #2b8aa8; --c6: #b3243c; --c7: #5b5bd6; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --quiet: #9aa4af; --line: #343b44;
  --page: #14171b; --c0: #6cb2f5; --c1: #f59a62; --c2: #4fc9a4; --c3: #d99bd3; --c4: #dcb44e;
  --c5: #78cbe2; --c6: #f58b9b; --c7: #a9a9f7; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; color: var(--text);
  background: var(--page); font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .6rem; padding-top: .9rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
p { margin: .25rem 0; } .quiet, figcaption, th { color: var(--quiet); font-weight: 400; }
.big { font-size: 1.9rem; font-weight: 600; margin-top: .75rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; }
th, td { text-align: left; padding: .25rem 1.1rem .25rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
td { overflow-wrap: anywhere; } .columns td { white-space: nowrap; }
.columns th { vertical-align: bottom; } .columns th, .columns td { padding-right: .7rem; }
.number { text-align: right; }
.charts, .beside { display: grid; gap: 1rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
figure { margin: 0 0 1.25rem; } figcaption { margin-bottom: .35rem; }
figure img { max-width: 100%; height: auto; display: block; background: #fff;
  border: 1px solid var(--line); border-radius: 6px; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 12px; fill: var(--quiet); }
.end { text-anchor: end; } .middle { text-anchor: middle; } .grid { stroke: var(--line); }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin-bottom: .6rem; }
.legend span { overflow-wrap: anywhere; } .legend svg { display: inline; width: 2rem; }
summary { cursor: pointer; margin-bottom: .6rem; } details .wide { margin-bottom: 1.25rem; }
""" + "".join(f".c{n} {{ stroke: var(--c{n}); }}\n" for n in range(COLOURS))


ABSENT = "\u2013"


@dataclasses.dataclass(frozen=True)
class RunReport:
    """The content of the report on one run.

    Attributes:
      name: Name of the run.
      headline: The model and the data.
      verdict: The result in a few words.
      results: Results by label, as text.
      settings: The experiment's fields, as text.
      rows: Rows of metrics.jsonl.
      per_class: Accuracy of each class; empty if the run was not evaluated.
      pictures: Captions and PNG files.
      origin: The command, versions and device.
    """

    name: str
    headline: str
    verdict: str
    results: Mapping[str, str]
    settings: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    per_class: Mapping[str, float | None]
    pictures: Sequence[tuple[str, bytes]]
    origin: Mapping[str, str]


def page(runs: Sequence[RunReport], figures: Sequence[tuple[str, bytes]] = ()) -> str:
    """The page: one run, or several with their differences first.

    Args:
      runs: The runs.
      figures: Captions and PNG files that come before several runs, such as those of sweeps.
    """
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    body = _one(runs[0]) if len(runs) == 1 else _pictures(figures) + _several(runs)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _one(run: RunReport) -> str:
    columns = [_part("Results", _pairs(run.results)), _part("Settings", _pairs(run.settings))]
    if run.per_class:
        columns.append(_part("Accuracy of each class", _per_class([run], ["accuracy"])))
    return "\n".join(
        [
            f"<p>{escape(run.headline)}</p>",
            f'<p class="big">{escape(run.verdict)}</p>',
            _part("Curves", _legend([run]) + _charts([run])),
            f'<div class="beside">{"".join(columns)}</div>',
            _part("Pictures", _pictures(run.pictures)) if run.pictures else "",
            _part("Where the numbers come from", _pairs(run.origin)),
        ]
    )


def _several(runs: Sequence[RunReport]) -> str:
    parts = [
        _part("Results", _beside(runs)),
        _part("Curves", _legend(runs) + _charts(runs)),
        _part("Settings that differ", _differences(runs)),
    ]
    evaluated = [run for run in runs if run.per_class]
    if evaluated:
        names = [run.name for run in evaluated]
        parts.append(_part("Accuracy of each class", _per_class(evaluated, names)))
    for run in runs:
        inner = _pairs(run.settings) + _pictures(run.pictures) + _pairs(run.origin)
        summary = f"<summary>{escape(run.headline)}</summary>"
        parts.append(_part(run.name, f"<details>{summary}{inner}</details>"))
    return "\n".join(parts)


def _part(heading: str, content: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{content}</section>"


def _pictures(pictures: Sequence[tuple[str, bytes]]) -> str:
    return "\n".join(
        f"<figure><figcaption>{escape(caption)}</figcaption><img "
        f'alt="{escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        "</figure>"
        for caption, png in pictures
    )


def _pairs(facts: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def _columns(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns are right-aligned, except the first."""

    def cells(kind: str, row: Sequence[str]) -> str:
        sides = ["", *[' class="number"'] * (len(row) - 1)]
        return "".join(
            f"<{kind}{side}>{escape(cell)}</{kind}>" for side, cell in zip(sides, row, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = f"<tr>{cells('th', names)}</tr>"
    return f'<div class="wide columns"><table>{head}{body}</table></div>'


def _beside(runs: Sequence[RunReport]) -> str:
    fields = dict.fromkeys(field for run in runs for field in run.results)
    rows = [[run.name, *(run.results.get(field, ABSENT) for field in fields)] for run in runs]
    return _columns(["run", *fields], rows)


def _differences(runs: Sequence[RunReport]) -> str:
    fields = dict.fromkeys(field for run in runs for field in run.settings)
    rows = [[field, *(run.settings.get(field, ABSENT) for run in runs)] for field in fields]
    different = [row for row in rows if len({_read(text) for text in row[1:]}) > 1]
    if not different:
        return "<p>None.</p>"
    note = f'<p class="quiet">{ABSENT}: the default, or not a field of that run.</p>'
    return note + _columns(["field", *(run.name for run in runs)], different)


def _read(text: str) -> Any:
    """Parses a number, so that 8 equals 8.0; returns other text unchanged."""
    try:
        return float(text)
    except ValueError:
        return text


def _per_class(runs: Sequence[RunReport], names: Sequence[str]) -> str:
    classes = dict.fromkeys(name for run in runs for name in run.per_class)

    def share(run: RunReport, name: str) -> str:
        value = run.per_class.get(name)
        return ABSENT if value is None else f"{value:.1%}"

    rows = [[name, *(share(run, name) for run in runs)] for name in classes]
    return _columns(["class", *names], rows)


def _legend(runs: Sequence[RunReport]) -> str:
    def entry(text: str, style: str) -> str:
        line = f'<svg viewBox="0 0 32 8"><path class="{style}" d="M0 4H32"/></svg>'
        return f"<span>{line} {escape(text)}</span>"

    if len(runs) == 1:
        entries = [entry("validation", "curve c0"), entry("training", "curve c0 dashed")]
    else:
        entries = [entry(run.name, f"curve c{n % COLOURS}") for n, run in enumerate(runs)]
        entries.append('<span class="quiet">dashed: training; solid: validation</span>')
    return f'<div class="legend">{"".join(entries)}</div>'


def _charts(runs: Sequence[RunReport]) -> str:
    def curves(key: str, splits: Sequence[str]) -> list[Curve]:
        return [
            Curve(
                f"{run.name}, {split}",
                number,
                [
                    (row["epoch"], row[key])
                    for row in run.rows
                    if row["split"] == split
                    and not json_checks.fault(row, **{key: json_checks.NUMBER})
                ],
                dashed=split == "train" and len(splits) > 1,
            )
            for number, run in enumerate(runs)
            for split in splits
        ]

    both = ("train", "validation")
    return "".join(
        [
            '<div class="charts">',
            chart("Accuracy", curves("accuracy", both), percent=True),
            chart("Loss", curves("loss", both)),
            chart("Learning rate", curves("learning_rate", ("train",))),
            "</div>",
        ]
    )
