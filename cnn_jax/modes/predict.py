"""Mode predict: classifies picture files with the net of a run, or with an exported one."""

import functools
import glob
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.config import Command, Flag
from cnn_jax.data.image_files import EXTENSIONS, BadImage, read_image
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.export import load as load_exported
from cnn_jax.modes.mode import OUTPUT, Mode, refuse_overrides, run_workdir
from cnn_jax.report import contact_sheet, tables
from cnn_jax.report.predictions import FORMS, Prediction, to_text, write
from cnn_jax.runs import output_paths
from cnn_jax.runs.run_scorer import RunScorer, Scorer


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
    """Prints the top classes of each picture.

    Pictures are resized to the size and the channels that the net was trained on.

    Args:
      scorer: The net: a `RunScorer`, or an exported one from `export.load`.
      pictures: Files, folders (searched recursively) and patterns such as `photos/**/*.png`.
      top: Number of classes to report.
      output: Also write the predictions to this `.jsonl` or `.csv`.
      sheet: Also draw the pictures, as resized, with their predictions, to this PNG file.
      batch_size: Pictures in a step.
      warn: Called with a line for each file that can't be read; the others are still predicted.
      console: A `rich.console.Console`.

    Returns:
      One prediction for each file, in order, including files that can't be read.

    Raises:
      UserError: there are no pictures, or an output has the wrong suffix or would overwrite a
        picture or a file of a run.
    """
    files = find(pictures)
    _check_output("output", output, FORMS, files)
    _check_output("contact_sheet", sheet, [".png"], files)
    padded_shape = (min(batch_size, len(files)), *scorer.image_shape)
    read = functools.partial(_read, scorer.image_shape)
    predictions = []
    for start in range(0, len(files), batch_size):
        seen = [read(file) for file in files[start : start + batch_size]]
        images = np.array([image for image in seen if isinstance(image, np.ndarray)], np.uint8)
        # Padding makes all batches of one size, so that one program serves them.
        scored = iter(scorer(np.resize(images, padded_shape)))
        for file, image in zip(files[start:], seen, strict=False):
            if isinstance(image, BadImage):
                warn(str(image))
                predictions.append(Prediction(file, error=str(image)))
            else:
                predictions.append(_prediction(scorer, file, image, next(scored), top))
    good = [prediction for prediction in predictions if not prediction.error]
    out = console or tables.console()
    out.print(to_text(good), highlight=False, markup=False, soft_wrap=True)
    if output:
        write(predictions, output)
    if sheet:
        contact_sheet.contact_sheet(good, sheet)
    return predictions


def find(pictures: Sequence[str]) -> list[Path]:
    """The files that names, folders and patterns stand for, each once.

    Folders are searched for files with the suffix of a picture, without hidden ones; a file that is
    named counts whatever its suffix.

    Raises:
      UserError: nothing is named, or nothing is found.
    """
    if not pictures:
        raise UserError("--mode=predict needs pictures: files, folders or patterns")
    found: dict[Path, None] = {}
    for named in pictures:
        path = Path(named).expanduser()
        if path.exists() or not glob.has_magic(named):
            matches = [path]
        else:
            matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        files = [file for match in matches for file in _below(match)]
        if not files:
            raise UserError(f"no pictures at {named}")
        found |= dict.fromkeys(files)
    return list(found)


def _check_output(
    flag: str, path: str | os.PathLike[str] | None, forms: Collection[str], pictures: list[Path]
) -> None:
    if path is None:
        return
    output_paths.check(flag, Path(path), forms)
    if Path(path).resolve() in {picture.resolve() for picture in pictures}:
        raise UserError(f"--{flag}={path} is one of the pictures: give another name")


def _below(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    )


def _read(shape: tuple[int, int, int], path: Path) -> np.ndarray | BadImage:
    try:
        return read_image(path, *shape)
    except BadImage as error:
        return error


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
    model = command.flags.model
    if model is None:
        return RunScorer(*run_workdir(command))
    for name in ("workdir", "config"):
        if name in command.given:
            raise UserError(f"--model={model} is a net with all it needs: drop --{name}")
    refuse_overrides(command)
    return load_exported(model)


MODE = Mode(
    run,
    (
        Flag("top", int, 5, "How many classes to report", minimum=1),
        Flag("model", str | None, None, "An exported net, instead of a --workdir"),
        OUTPUT,
        Flag("contact_sheet", str | None, None, "Also draw the pictures to this PNG"),
    ),
    takes_files=True,
)
