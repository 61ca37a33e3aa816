"""Mode report: an HTML page on one run, or on several side by side."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.config import Command
from cnn_jax.config.flat import flat
from cnn_jax.errors import UserError
from cnn_jax.modes.mode import OUTPUT, Mode, refuse_overrides
from cnn_jax.report import html_report, tables
from cnn_jax.runs import output_paths
from cnn_jax.runs.workdir import Run
from cnn_jax.storage import files, json_checks
from cnn_jax.storage.local_paths import local_path
from cnn_jax.sweeps.results import FIGURE as SWEEP
from cnn_jax.terminal.durations import duration

NAME = "report.html"
# Figures that the page draws itself.
LEFT_OUT = ("learning_curves.png",)


def report(
    workdirs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    console: Any = None,
) -> Path:
    """Writes a page on runs, finished or not, from their folders alone.

    Args:
      workdirs: The runs' folders; any other folder, such as a sweep's, stands for the runs in it,
        with the sweep's figure.
      output: The page, an `.html`; default: `report.html` in the run's folder, or in the folder
        that several runs lie in.
      console: A `rich.console.Console`.

    Returns:
      The page's path.

    Raises:
      UserError: a folder holds no run or a damaged one, or the output can't be written or is not
        an `.html`.
    """
    given = dict.fromkeys(local_path(workdir, "workdir") for workdir in workdirs)
    folders = list(dict.fromkeys(run for folder in given for run in _runs_of(folder)))
    if not folders:
        raise UserError("--mode=report needs runs: --workdir=DIR, or several folders")
    path = local_path(output, "output") if output else _common(folders) / NAME
    runs = [gather(Run(folder), _name(folder, folders)) for folder in folders]
    output_paths.check("output", path, [".html"])
    figures = [
        (f"Sweep {folder.name}", (folder / SWEEP).read_bytes())
        for folder in given
        if folder not in folders and (folder / SWEEP).is_file()
    ]
    content = html_report.page(runs, figures).encode(errors="replace")
    files.write_atomically(path, content)
    what = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    (console or tables.console()).print(
        f"report of {what} -> {path} ({len(content) / 1e6:.1f} MB)", highlight=False, soft_wrap=True
    )
    return path


def _runs_of(folder: Path) -> list[Path]:
    """A run's folder itself; of another folder, the runs in it; itself again if there are none."""
    if Run(folder).exists() or not folder.is_dir():
        return [folder]
    return [inner for inner in sorted(folder.iterdir()) if Run(inner).exists()] or [folder]


def gather(run: Run, name: str) -> html_report.RunReport:
    """The content of the page on a run, from its folder."""
    text = run.experiment_text()
    try:
        settings = flat(text)
    except (
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ) as error:  # all raised by ast.parse
        raise UserError(f"{run.folder / 'config.json'} is damaged: experiment: {error}") from error
    run.metrics.check()
    facts, rows, summary = run.data_facts(), run.metrics.rows(), run.summary() or {}
    model = summary.get("model") or settings.get("model", "")
    headline = (
        f"{model} on {facts.name} ({facts.train:,} train, {facts.validation:,} validation, "
        f"{facts.test:,} test)"
    )
    evaluation = _evaluation(run)
    pictures = [*sorted((run.folder / "figures").glob("*.png")), run.folder / "volumes.png"]
    launches = run.launches()
    return html_report.RunReport(
        name=name,
        headline=headline,
        verdict=_verdict(summary, rows),
        results=_results(summary, rows, evaluation),
        settings=settings,
        rows=rows,
        per_class=evaluation.get("per_class_accuracy") or {},
        pictures=[
            (picture.stem.replace("_", " ").capitalize(), picture.read_bytes())
            for picture in pictures
            if picture.is_file() and picture.name not in LEFT_OUT
        ],
        origin=_origin(launches[-1]) if launches else {},
    )


def _results(
    summary: dict[str, Any], rows: list[dict[str, Any]], evaluation: dict[str, Any]
) -> dict[str, str]:
    if not summary:
        last = rows[-1] if rows else {}
        return {"state": f"unfinished, at epoch {last.get('epoch', 0):g}"}
    imbalanced = summary.get("test_imbalanced") is True
    forms = {
        "test_accuracy": ("test accuracy", "{:.2%}"),
        **({"test_balanced_accuracy": ("balanced accuracy", "{:.2%}")} if imbalanced else {}),
        "test_top5_accuracy": ("top-5 accuracy", "{:.2%}"),
        "test_loss": ("test loss", "{:.4f}"),
        "validation_accuracy": ("validation accuracy", "{:.2%}"),
        "dataset": ("data", "{}"),
        "parameters": ("parameters", "{:,}"),
        "epochs": ("epochs", "{:g}"),
        "steps": ("steps", "{:,}"),
        "precision": ("precision", "{}"),
        "images_per_second": ("images/s", "{:,.0f}"),
    }
    shown = {
        label: form.format(summary[key])
        for key, (label, form) in forms.items()
        if not json_checks.fault(summary, **{key: str if form == "{}" else json_checks.NUMBER})
    }
    for key, label in (("train_seconds", "training"), ("compile_seconds", "compilation")):
        if summary.get(key) is not None:
            shown[label] = duration(summary[key])
    if evaluation.get("accuracy") not in (None, summary["test_accuracy"]):  # with other views
        shown["evaluated again"] = f"{evaluation['accuracy']:.2%}"
    return shown


def _verdict(summary: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    if summary:
        return f"{summary['test_accuracy']:.2%} test accuracy"
    seen = [row for row in rows if row["split"] == "validation"]
    if not seen:
        return "unfinished"
    return f"unfinished: {seen[-1]['accuracy']:.2%} on validation at epoch {seen[-1]['epoch']:g}"


def _evaluation(run: Run) -> dict[str, Any]:
    """The content of evaluation.json; empty if it lacks what the page needs."""
    content = run.evaluation()
    if json_checks.fault(content, accuracy=json_checks.NUMBER, per_class_accuracy=dict):
        return {}
    classes = content["per_class_accuracy"]
    if json_checks.fault(classes, **dict.fromkeys(classes, json_checks.NUMBER_OR_NULL)):
        return {}
    return content


def _origin(launch: dict[str, Any]) -> dict[str, str]:
    """The facts of the last launch in the manifest; malformed ones are left out."""
    kinds = {"git": dict, "software": dict, "command": list, "device": str}
    known = {key: launch[key] for key, kind in kinds.items() if isinstance(launch.get(key), kind)}
    git = known.get("git", {})
    commit = git.get("commit") or ""
    changed = " with changes" if git.get("dirty") else ""
    software = ", ".join(f"{name} {it}" for name, it in known.get("software", {}).items())
    shown = {
        "command": " ".join(map(str, known.get("command", []))),
        "device": known.get("device", ""),
        "commit": f"{commit}{changed}",
        "software": software,
    }
    return {name: text for name, text in shown.items() if text}


def _common(folders: Sequence[Path]) -> Path:
    if len(folders) == 1:
        return folders[0]
    return Path(os.path.commonpath([folder.absolute().parent for folder in folders]))


def _name(folder: Path, folders: Sequence[Path]) -> str:
    """A run's path, without the part that all runs share."""
    if len(folders) == 1:
        return str(folder)
    return str(folder.absolute().relative_to(_common(folders)))


def run(command: Command) -> None:
    """Reports on the runs that --workdir and the command line name."""
    refuse_overrides(command)
    named = [] if command.flags.workdir is None else [command.flags.workdir]
    report([*named, *command.args], command.flags.output)


MODE = Mode(run, (OUTPUT,), takes_files=True, uses_device=False, uses_recipe=False)
