"""Mode demo: a page on this machine, on which a trained net can be explored."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.config import Command, Flag
from cnn_jax.data import Shapes
from cnn_jax.demo.classifier import Classifier
from cnn_jax.demo.page import build
from cnn_jax.demo.server import HOST, check_installed, in_background, served
from cnn_jax.demo.shown import Shown
from cnn_jax.experiment import Experiment
from cnn_jax.models import ConvNet
from cnn_jax.modes.mode import Mode, refuse_overrides, run_workdir
from cnn_jax.modes.predict import MODEL, exported_net
from cnn_jax.optim import Adam
from cnn_jax.runs.run_scorer import RunScorer
from cnn_jax.runs.workdir import Run
from cnn_jax.train import train

# Half a minute on two cores.
SMALL = Experiment(
    data=Shapes(train=5000, validation=500, test=500),
    model=ConvNet(widths=(16, 32), hidden=64),
    augment=(Flip(), RandomCrop(padding=2)),
    optimizer=Adam(peak_lr=0.002),
    batch_size=50,
    epochs=6,
)


def run(command: Command) -> None:
    """Serves the page until Ctrl-C."""
    check_installed()
    flags = command.flags
    with (
        _net(command) as (classifier, shown),
        served(lambda: build(classifier, shown), flags.host, flags.port) as address,
        contextlib.suppress(KeyboardInterrupt),
        in_background(shown.warm() if shown else ()),
    ):
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        threading.Event().wait()


@contextlib.contextmanager
def _net(command: Command) -> Iterator[tuple[Classifier, Shown | None]]:
    """The net that --model or --workdir names, or a small one, trained in a temporary folder."""
    flags = command.flags
    if exported := exported_net(command):
        yield Classifier(exported), None
    elif flags.workdir is not None:
        workdir, recipe = run_workdir(command)
        shown = Shown(Run(workdir), RunScorer(workdir, recipe), flags.data_dir)
        yield shown.classifier, shown
    else:
        refuse_overrides(command)
        with tempfile.TemporaryDirectory(prefix="cnn_jax-demo-") as folder:
            workdir = os.path.join(folder, "shapes")
            print("training a small net on Shapes for half a minute; --workdir shows your own")
            train(SMALL, workdir)
            shown = Shown(Run(workdir), RunScorer(workdir))
            yield shown.classifier, shown


MODE = Mode(
    run,
    (
        MODEL,
        Flag("host", str, HOST, "The address to serve on; 0.0.0.0 lets other machines in"),
        Flag("port", int | None, None, "The port; default: the first free from 7860", minimum=1),
    ),
    uses_recipe=False,
)
