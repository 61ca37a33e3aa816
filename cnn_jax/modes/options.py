"""The flags of the command line besides the experiment's, and the modes that each is for."""

from __future__ import annotations

from typing import Literal

from cnn_jax.augment.test_time import Views
from cnn_jax.config import Flag
from cnn_jax.modes.benchmark import SECONDS

USAGE = """Trains ConvNets on CIFAR-10 with JAX.

  python run.py                                          the quickstart recipe
  python run.py --config=cifar10_convnet --config.epochs=5 --workdir=runs/mine
  python run.py --config=my_recipe.py --config.model=ResNet20 --config.model.width=32
  python run.py --mode=evaluate --workdir=runs/mine [--robustness --examples=1000]
  python run.py --mode=predict --workdir=runs/mine photo.png folder/
  python run.py --mode=explain --workdir=runs/mine --images=3,17
  python run.py --mode=export --workdir=runs/mine --output=mine
  python run.py --mode=predict --model=mine photo.png folder/
  python run.py --mode=report runs/mine runs/other
  python run.py --mode=volumes --config=cifar10_resnet20
  python run.py --mode=benchmark --config=cifar10_resnet20
  python run.py --list
"""

Mode = Literal[
    "train", "evaluate", "predict", "explain", "export", "report", "volumes", "sweep", "benchmark"
]  # fmt: skip

PLAIN = {
    "What to do": [
        Flag(
            "mode",
            Mode,
            "train",
            "train; evaluate, explain, export or report on a run; predict; show volumes; sweep; "
            "benchmark",
        ),
        Flag("config", str, "quickstart", "Recipe: a name in experiments/, or a path to a .py"),
        Flag("list", bool, False, "List the recipes and the models"),
        Flag("print_config", bool, False, "Print the resolved experiment as a recipe"),
        Flag("dry_run", bool, False, "Print shapes, FLOPs, memory and steps; train nothing"),
    ],
    "Where": [
        Flag("workdir", str | None, None, "The run's folder; default: runs/RECIPE/TIME"),
        Flag(
            "data_dir",
            str | None,
            None,
            "Where TFDS data is; default: $TFDS_DATA_DIR, then ~/tensorflow_datasets",
        ),
        Flag(
            "compile_cache",
            str | None,
            None,
            "Where compiled programs are kept, or off; default: ~/.cache/cnn_jax/compiled",
        ),
        Flag(
            "record",
            bool,
            False,
            "Also write the result to results/, and a recipe's to the tables of README and docs/",
        ),
    ],
    "How": [
        Flag(
            "cpu_tuning",
            bool,
            True,
            "Start anew with malloc tuned for XLA on a CPU, unless GLIBC_TUNABLES is set",
        ),
        Flag(
            "deterministic",
            bool,
            False,
            "The same bits at every launch on a GPU too, which costs speed; a CPU's always are",
        ),
        Flag("log_every_steps", int | None, None, "Also log every so many steps", minimum=1),
        Flag("save_every_steps", int | None, None, "Also save every so many steps", minimum=1),
        Flag("image_size", int | None, None, "volumes: height and width of the image", minimum=1),
        Flag("eval_batch", int, 500, "evaluate: examples in a step", minimum=1),
        Flag(
            "tta",
            Views | None,
            None,
            "evaluate: views of an image whose scores are averaged; default: the run's",
        ),
        Flag(
            "robustness",
            bool,
            False,
            "evaluate: also other views, corruptions, other test sets, and attacks: minutes",
        ),
        Flag(
            "examples",
            int | None,
            None,
            "evaluate: measure the robustness on so many test images; default: all",
            minimum=1,
        ),
        Flag("top", int, 5, "predict: how many classes are told", minimum=1),
        Flag("model", str | None, None, "predict: an exported net, in place of a --workdir"),
        Flag(
            "output",
            str | None,
            None,
            "predict: also write a .jsonl or .csv; export: the folder; report: the .html",
        ),
        Flag("contact_sheet", str | None, None, "predict: also draw the pictures to this PNG"),
        Flag(
            "images",
            tuple[int, ...] | int | None,
            None,
            "explain: test images by number, as 3,17; default: the files named, or 6 at random",
        ),
        Flag(
            "sweep",
            str | None,
            None,
            "sweep: fields and values, as 'optimizer.peak_lr=0.01,0.03; seed=0,1'",
        ),
        Flag("seconds", float, SECONDS, "benchmark: most seconds of a measurement", minimum=0.01),
        Flag(
            "batch_sizes",
            tuple[int, ...] | int | None,
            None,
            "benchmark: also time the step at these batch sizes, as 128,256,512",
        ),
        Flag("profile", bool, False, "benchmark: also write a jax.profiler trace of a few steps"),
    ],
}


# What the other modes have no use for is refused there.
ONLY_FOR = {
    "list": ("train",),
    "print_config": ("train",),
    "dry_run": ("train",),
    "sweep": ("sweep",),
    "record": ("train", "sweep", "benchmark"),
    "log_every_steps": ("train", "sweep"),
    "save_every_steps": ("train", "sweep"),
    "image_size": ("volumes",),
    "eval_batch": ("evaluate",),
    "tta": ("evaluate",),
    "robustness": ("evaluate",),
    "examples": ("evaluate",),
    "top": ("predict",),
    "model": ("predict",),
    "output": ("predict", "export", "report"),
    "contact_sheet": ("predict",),
    "images": ("explain",),
    "seconds": ("benchmark",),
    "batch_sizes": ("benchmark",),
    "profile": ("benchmark",),
}


# Flags that name a file or a folder: an unset variable or a `~` in them is no name.
PATHS = ("workdir", "data_dir", "model", "output", "contact_sheet")
