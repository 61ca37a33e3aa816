"""Mode predict: classifies picture files with the net of a run, or with an exported one."""

import collections
import contextlib
import dataclasses
import functools
import glob
import itertools
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.config import Command, Flag
from cnn_jax.data.pictures import picture_files
from cnn_jax.data.pictures.decoding import decode_all, seconds_each
from cnn_jax.data.pictures.image_files import BadImage, Decoded
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.export import load as load_exported
from cnn_jax.modes.mode import OUTPUT, Mode, refuse_overrides, run_workdir
from cnn_jax.report import contact_sheet, tables
from cnn_jax.report.predictions import (
    FORMS,
    Prediction,
    PredictionsFile,
    column_widths,
    printable,
    to_text,
)
from cnn_jax.runs import output_paths
from cnn_jax.runs.run_scorer import RunScorer, Scorer
from cnn_jax.storage.local_paths import local_path
from cnn_jax.terminal.console import RunConsole
from cnn_jax.terminal.timed_progress import TimedProgress


def predict(
    scorer: Scorer,
    pictures: Sequence[str],
    *,
    top: int = 5,
    output: str | os.PathLike[str] | None = None,
    sheet: str | os.PathLike[str] | None = None,
    batch_size: int = 100,
    warn: Callable[[str], None] = print,
    console: Any = None,
) -> list[Prediction]:
    """Prints the top classes of each picture, as soon as they are known.

    Pictures are brought into the form that the net was trained on (`Scorer.form`).

    Args:
      scorer: The net: a `RunScorer`, or an exported one from `export.load`.
      pictures: Files, folders (searched recursively) and patterns such as `photos/**/*.png`.
      top: Number of classes to report.
      output: Also write the predictions to this `.jsonl` or `.csv`, row by row.
      sheet: Also draw the pictures, as the net sees them, with their predictions, to this PNG file.
      batch_size: Pictures in a step.
      warn: Called with a line for each file that can't be read; the others are still predicted.
      console: A `rich.console.Console`.

    Returns:
      One prediction for each file, in order, including files that can't be read. Only the first
      `contact_sheet.MOST` good ones have their `image`.

    Raises:
      UserError: there are no pictures, or an output has the wrong suffix or would overwrite a
        picture or a file of a run.
    """
    files = find(pictures, warn)
    _check_output("output", output, FORMS, files)
    _check_output("contact_sheet", sheet, [".png"], files)
    top = min(top, len(scorer.classes))
    out = console or tables.console()
    show = functools.partial(out.print, highlight=False, markup=False, soft_wrap=True)
    widths = column_widths([printable(str(file)) for file in files], scorer.classes, top)
    measure = "probability" if scorer.scores_are_logits else "score"
    seconds, room = seconds_each(), contact_sheet.MOST
    predictions: list[Prediction] = []
    with contextlib.ExitStack() as stack:
        rows = stack.enter_context(PredictionsFile(output, top, measure)) if output else None
        bar = out if out.is_interactive else RunConsole(stderr=True)
        progress = stack.enter_context(TimedProgress(seconds * len(files), bar))
        decoded = stack.enter_context(contextlib.closing(decode_all(files, scorer.form)))
        pairs = zip(files, decoded, strict=True)
        if output:
            stack.enter_context(_noting(output, predictions, len(files)))
        while batch := list(itertools.islice(pairs, batch_size)):
            made = _predictions(scorer, batch, top, min(batch_size, len(files)))
            for place, prediction in enumerate(made):
                if prediction.error:
                    warn(prediction.error)
                elif room:
                    room -= 1
                else:  # images that no sheet shows would fill the memory
                    made[place] = dataclasses.replace(prediction, image=None)
            if good := [prediction for prediction in made if not prediction.error]:
                show(to_text(good, widths))
            if rows:
                rows.write(made)
            predictions += made
            done = f"{len(predictions):,} of {len(files):,} pictures"
            progress.done(seconds * len(batch), done)
    good = [prediction for prediction in predictions if not prediction.error]
    if sheet:
        contact_sheet.contact_sheet(good, sheet, scorer.classes)
    return predictions


def find(pictures: Sequence[str], warn: Callable[[str], None] = lambda line: None) -> list[Path]:
    """The files that names, folders and patterns stand for, each once.

    Folders are searched as training does (`picture_files.find`), and for pictures in formats that
    are not read, which would be missed; a file that is named counts whatever its suffix.

    Args:
      pictures: Names of files and folders, and patterns.
      warn: Called with a line on the other files of a folder.

    Raises:
      UserError: nothing is named, or nothing is found.
    """
    if not pictures:
        raise UserError("--mode=predict needs pictures: files, folders or patterns")
    found: dict[Path, None] = {}
    for named in pictures:
        path = local_path(named, "a picture")
        if path.exists() or path.is_symlink() or not glob.has_magic(named):
            matches = [path]
        else:
            matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        files, others = [], collections.Counter[str]()
        for match in matches:
            if match.is_dir():
                inside = picture_files.find(match)
                files += sorted([*inside.pictures, *inside.not_read])
                read = collections.Counter(file.suffix.lower() for file in inside.not_read)
                others.update(inside.passed_over - read)
            else:
                files.append(match)
        passed_over = f"passed over {picture_files.counted(others)}" if others else ""
        if not files:
            raise UserError(": ".join(filter(None, [f"no pictures at {named}", passed_over])))
        if passed_over:
            warn(f"{named}: {passed_over}")
        found |= dict.fromkeys(files)
    return list(found)


def _check_output(
    flag: str, path: str | os.PathLike[str] | None, forms: Collection[str], pictures: list[Path]
) -> None:
    if path is None:
        return
    path = local_path(path, f"--{flag}")
    output_paths.check(flag, path, forms)
    if path.resolve() in {picture.resolve() for picture in pictures}:
        raise UserError(f"--{flag}={path} is one of the pictures: give another name")


@contextlib.contextmanager
def _noting(
    output: str | os.PathLike[str], predictions: Sequence[Prediction], number: int
) -> Iterator[None]:
    """A block whose interruption tells how many rows the output has."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(f"{output} has the first {len(predictions):,} of {number:,} pictures")
        raise


def _predictions(
    scorer: Scorer, batch: Sequence[tuple[Path, Decoded | BadImage]], top: int, size: int
) -> list[Prediction]:
    """The predictions of the pictures of a batch, which is padded to `size`.

    Padding makes all batches of one size, so that one program serves them.
    """
    images = np.array([one.image for _, one in batch if isinstance(one, Decoded)], np.uint8)
    scored = iter(scorer(np.resize(images, (size, *scorer.image_shape))))
    return [
        Prediction(file, error=str(one))
        if isinstance(one, BadImage)
        else _prediction(scorer, file, one.image, next(scored), top)
        for file, one in batch
    ]


def _prediction(
    scorer: Scorer, file: Path, image: np.ndarray, scores: np.ndarray, top: int
) -> Prediction:
    probable = scorer.scores_are_logits
    values = np.asarray(jax.nn.softmax(scores)) if probable else scores
    best = np.argsort(-scores, kind="stable")[:top]
    return Prediction(
        file,
        image=image,
        classes=tuple(scorer.classes[number] for number in best),
        values=tuple(float(values[number]) for number in best),
        measure="probability" if probable else "score",
    )


def run(command: Command) -> None:
    """Predicts the files that the command line names."""
    flags = command.flags
    made = predict(
        _scorer(command),
        command.args,
        top=flags.top,
        output=flags.output,
        sheet=flags.contact_sheet,
        warn=lambda line: print(line, file=sys.stderr),
    )
    bad = sum(bool(prediction.error) for prediction in made)
    if bad:
        raise RunFailed(f"{bad} of {len(made)} files could not be read")


def _scorer(command: Command) -> Scorer:
    """The net that --model or --workdir names."""
    return exported_net(command) or RunScorer(*run_workdir(command))


def exported_net(command: Command) -> Scorer | None:
    """The exported net that --model names; None without that flag."""
    model = command.flags.model
    if model is None:
        return None
    for name in ("workdir", "config"):
        if name in command.given:
            raise UserError(f"--model={model} is a net with all it needs: drop --{name}")
    refuse_overrides(command)
    return load_exported(model)


MODEL = Flag("model", str | None, None, "An exported net, instead of a --workdir")
MODE = Mode(
    run,
    (
        Flag("top", int, 5, "How many classes to report", minimum=1),
        MODEL,
        OUTPUT,
        Flag("contact_sheet", str | None, None, "Also draw the pictures to this PNG"),
    ),
    takes_files=True,
    uses_recipe=False,
)
