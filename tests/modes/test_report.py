"""Mode report: a page on runs that needs nothing beside it."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from program import one_line, run

from cnn_jax import cli
from cnn_jax.config.flat import flat
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.models import ConvNet
from cnn_jax.optim import SGD
from cnn_jax.runs.workdir import Run
from cnn_jax.storage.json_files import write_json

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def rows(accuracies: list[float]) -> str:
    lines = [
        {"step": 4 * n, "epoch": float(n), "split": split, "loss": 1 / n, "accuracy": accuracy}
        | ({"learning_rate": 0.1, "images_per_second": 9.0} if split == "train" else {})
        for n, accuracy in enumerate(accuracies, 1)
        for split in ("train", "validation")
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def write_run(tmp_path, dataset):
    """A function that writes a run's folder as training and evaluation would, and its path."""

    def write(name: str, *, accuracies=(0.25, 0.5, 0.75), finished=True, **fields) -> Path:
        experiment = Experiment(
            data=cli.NAMES["Shapes"](), batch_size=16, **{"model": ConvNet(), **fields}
        )
        run = Run(tmp_path / name)
        with run.locked():
            run.begin(Plan.of(experiment, DataFacts.of(dataset)), None, {"command": ["run.py"]})
        (run.folder / "metrics.jsonl").write_text(rows(list(accuracies)))
        (run.folder / "figures").mkdir()
        for figure in ("learning_curves", "confusion_matrix"):
            (run.folder / "figures" / f"{figure}.png").write_bytes(PNG)
        per_class = {"a<b": 0.5, "c&d": None}
        write_json(
            run.folder / "evaluation.json", {"accuracy": 0.625, "per_class_accuracy": per_class}
        )
        if finished:
            summary = {"finished": True, "test_accuracy": 0.625, "dataset": "noise", "steps": 1200}
            counts = {
                "parameters": 400,
                "epochs": 3.0,
                "train_seconds": 5.0,
                "compile_seconds": 2.0,
            }
            scores = {"test_loss": 1.25, "validation_accuracy": 0.75}
            write_json(run.folder / "summary.json", summary | counts | scores)
        return run.folder

    return write


class Page(HTMLParser):
    """A page's texts by table, what it refers to, and whether its elements close."""

    VOID = ("meta", "img", "path", "circle", "polyline", "!doctype")

    def __init__(self, path: Path):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.source = path.read_text()
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def report(*arguments) -> int:
    return cli.main(["run.py", "--mode=report", *map(str, arguments)])


def test_the_page_of_a_run_needs_nothing_beside_it(write_run):
    folder = write_run("mine <i>&", optimizer=SGD(peak_lr=0.05))
    assert report(f"--workdir={folder}") == 0
    page = Page(folder / "report.html")
    sources = [attrs[key] for _, attrs in page.tags for key in ("src", "href") if key in attrs]
    assert [base64.b64decode(source.partition(",")[2]) for source in sources] == [PNG]
    assert not re.search(r"https?:|url\(|@import|<script|<link", page.source)
    said = " ".join(page.words)
    assert "mine <i>&" in said and "62.50% test accuracy" in said
    assert ["optimizer.peak_lr", "0.05"] in page.tables[1]
    assert ["steps", "1,200"] in page.tables[0]
    assert page.tables[2] == [["class", "accuracy"], ["a<b", "50.0%"], ["c&d", "\u2013"]]


def test_curves_are_where_their_numbers_are(write_run):
    """Reference: a straight scale, told from two points, brings every other one to its place."""
    folder = write_run("run", accuracies=(0.1, 0.7, 0.4, 0.6))
    assert report(folder) == 0
    page = Page(folder / "report.html")
    lines = [attrs["points"] for tag, attrs in page.tags if tag == "polyline"]
    assert len(lines) == 5  # accuracy and loss of two splits, and the learning rate
    points = [tuple(map(float, point.split(","))) for point in lines[1].split()]
    (x1, y1), (x2, y2) = points[:2]
    for epoch, (x, y), accuracy in zip((1, 2, 3, 4), points, (0.1, 0.7, 0.4, 0.6), strict=True):
        assert x == pytest.approx(x1 + (epoch - 1) * (x2 - x1), abs=0.2)
        assert y == pytest.approx(y1 + (accuracy - 0.1) / 0.6 * (y2 - y1), abs=0.2)
    assert y2 < y1  # up is more


def written_otherwise(folder) -> None:
    """Gives its batch size as a float."""
    config = json.loads((folder / "config.json").read_bytes())
    text = config["experiment"].replace("batch_size=16", "batch_size=16.0")
    assert text != config["experiment"]
    write_json(folder / "config.json", config | {"experiment": text})


def test_several_runs_are_shown_by_what_differs(write_run, tmp_path, capsys):
    first = write_run("sweep/0", seed=0)
    second = write_run("sweep/1", seed=1, model=ConvNet(hidden=7), finished=False)
    written_otherwise(second)
    assert report(first, second) == 0
    assert str(tmp_path / "sweep" / "report.html") in capsys.readouterr().out.replace("\n", "")
    page = Page(tmp_path / "sweep" / "report.html")
    results, different, *_ = page.tables
    assert results[0][:2] == ["run", "test accuracy"]
    assert results[1][:2] == ["0", "62.50%"]
    assert results[2][0] == "1" and "unfinished, at epoch 3" in results[2]
    absent = "\u2013"
    assert different == [
        ["field", "0", "1"],
        ["model.hidden", absent, "7"],
        ["seed", absent, "1"],
    ]


def test_a_sweep_is_shown_with_its_figure(write_run, tmp_path):
    for number in range(2):
        write_run(f"sweep/00{number}", seed=number)
    (tmp_path / "sweep" / "sweep.png").write_bytes(PNG + b"of the sweep")
    assert report(tmp_path / "sweep") == 0
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert base64.b64encode(PNG + b"of the sweep").decode() in page
    assert "<figcaption>Sweep sweep</figcaption>" in page


def test_a_run_is_read_as_utf_8_whatever_the_locale(write_run):
    folder = write_run("run")
    for name, key in (("summary", "precision"), ("config", "note")):
        content = json.loads((folder / f"{name}.json").read_bytes())
        write_json(folder / f"{name}.json", content | {key: "d\u00e9j\u00e0"})
    scores = {"accuracy": 0.5, "per_class_accuracy": {"caf\u00e9": 0.5}}
    write_json(folder / "evaluation.json", scores)
    run("--mode=report", str(folder), LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    page = Page(folder / "report.html")
    assert ["precision", "d\u00e9j\u00e0"] in page.tables[0]
    assert ["caf\u00e9", "50.0%"] in page.tables[2]


DEEP = "[" * 100_000 + "]" * 100_000
REFUSED = {
    "summary": ['{"train_seconds": Infinity}', '{"test_loss": 1e999}', DEEP],
    "config": ['{"experiment": "' + "-" * 100_000 + '1"}', DEEP],
    "manifest": [DEEP],
    "metrics": ['{"loss": 1' + "0" * 400 + "}", DEEP + "\n{}"],
}
LEFT_OUT = {
    "summary": ['{"images_per_second": "x", "precision": 3}'],
    "manifest": [
        json.dumps({"launches": [{"git": git, "software": [1], "command": [1, 2], "device": 3}]})
        for git in (None, {"commit": None})
    ],
    "evaluation": ['{"per_class_accuracy": {"content": "x"}}', DEEP],
    "metrics": ['{"learning_rate": "x"}'],
}


def spoil(folder: Path, name: str, wrong: str) -> None:
    """Puts a text, or the keys that it has, in the place of a file, or of the log's first row."""
    path = folder / ("metrics.jsonl" if name == "metrics" else f"{name}.json")
    first, *rest = path.read_text().splitlines() if name == "metrics" else [path.read_text()]
    if wrong.startswith("{"):
        wrong = json.dumps(json.loads(first) | json.loads(wrong))
    path.write_text("\n".join([wrong, *rest]) + "\n")


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_run_does_not_write_is_one_line_that_names_the_file(name, write_run, capsys):
    for number, wrong in enumerate(REFUSED[name]):
        folder = write_run(f"run{number}")
        spoil(folder, name, wrong)
        assert report(folder) == 2
        error = capsys.readouterr().err
        assert one_line(error) and f"{folder}/{name}.json" in error


@pytest.mark.parametrize("name", LEFT_OUT)
def test_facts_of_another_kind_are_left_out_of_the_page(name, write_run):
    for number, wrong in enumerate(LEFT_OUT[name]):
        folder = write_run(f"run{number}")
        spoil(folder, name, wrong)
        assert report(folder) == 0
        said = " ".join(Page(folder / "report.html").words)
        assert "None" not in said and "62.50% test accuracy" in said


def test_settings_are_read_off_an_expression_that_names_unknown_classes():
    text = "Experiment(model=Mine(width=3), augment=(Flip(), Crop(4, fill='x')), freeze=('a', 'b'))"
    assert flat(text) == {
        "model": "Mine",
        "model.width": "3",
        "augment.0": "Flip",
        "augment.1": "Crop",
        "augment.1.0": "4",
        "augment.1.fill": "'x'",
        "freeze": "('a', 'b')",
    }


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "needs runs"),
        (["nowhere"], "no run at nowhere"),
        (["RUN", "--output=page.txt"], ".html"),
        (["RUN", "--output=nowhere/page.html"], "no folder nowhere"),
        (["RUN", "--output=RUN/figures.html"], "is a folder"),
        (["RUN", "--config.seed=1"], "--config.seed"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, named, write_run, capsys):
    folder = str(write_run("run"))
    Path(folder, "figures.html").mkdir()
    assert report(*(argument.replace("RUN", folder) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert one_line(error[error.index("error: ") :]) and named in error


def test_a_folder_of_runs_stands_for_them(write_run, tmp_path, capsys):
    """As a sweep's folder does; one with neither is told as it is."""
    for name in ("sweep/lr=1", "sweep/lr=2"):
        write_run(name)
    assert cli.main(["run.py", "--mode=report", str(tmp_path / "sweep")]) == 0
    assert "report of 2 runs" in capsys.readouterr().out
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert "lr=1" in page and "lr=2" in page
    (tmp_path / "empty").mkdir()
    assert cli.main(["run.py", "--mode=report", str(tmp_path / "empty")]) == 2
    said = capsys.readouterr().err
    assert one_line(said) and "no run at" in said and "damaged" not in said
