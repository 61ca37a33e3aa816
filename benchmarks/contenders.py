"""The contenders of a side-by-side run: each a command and an environment for a process."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# From a checkout it goes uninstalled too, as run.py does.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnn_jax.runtime import malloc

FOLDER = Path(__file__).resolve().parent
# The models by the names of the nets, but for airbench94, which trains by its own recipe.
MODELS = {
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "preact_resnet18": "PreActResNet18",
    "vgg16": "VGG16",
    "googlenet": "GoogLeNet",
    "mobilenet": "MobileNet",
    "mobilenetv2": "MobileNetV2",
    "se_resnet18": "SEResNet18",
    "resnext29_2x64d": "ResNeXt29_2x64d",
    "densenet121": "DenseNet121",
    "wrn16_4": "WRN16_4",
}
NETS = ("airbench94", *MODELS)
OURS = "cnn_jax"
STOCK = "jax-stock"
ONEDNN = "jax-onednn"
CONVOLUTIONS = {OURS: "fast", ONEDNN: "onednn", STOCK: "stock"}
TORCH = (
    "torch-eager-float32",
    "torch-compile-float32",
    "torch-autocast-bfloat16",
    "torch-bfloat16",
)
LAYOUTS = ("contiguous", "channels_last")
MALLOC = {"tuned": malloc.MALLOC, "default": ""}


class ContenderFailed(Exception):
    """A contender's process gave no result; the message is its last line."""


@dataclass(frozen=True)
class Contender:
    """One side of the comparison.

    Attributes:
      name: What it is called in the results.
      command: What is run, without the number of steps.
      environment: Variables that its process gets besides this one's; "" takes one away.
      setting: What was chosen for it, such as PyTorch's memory layout.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    setting: dict[str, str] = field(default_factory=dict)

    def run(self, warm_up: int, steps: int) -> dict[str, Any]:
        """Runs it in a process of its own. Raises ContenderFailed."""
        # The user's own malloc setting must not reach the one that is to run without.
        environment = {k: v for k, v in os.environ.items() if k != malloc.VARIABLE}
        environment |= {k: v for k, v in self.environment.items() if v}
        command = [*self.command, f"--warm_up={warm_up}", f"--steps={steps}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines()
        if done.returncode or not lines:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise ContenderFailed(said[-1] if said else f"exit status {done.returncode}")
        return json.loads(lines[-1])


def usual_batch_size(net: str) -> int:
    """That of the published comparison."""
    return 500 if net == "airbench94" else 64


def jax(name: str, net: str, batch_size: int, precision: str, data_dir: str | None) -> Contender:
    """This package's step, or that of the same net with the convolutions of oneDNN or JAX."""
    airbench = net == "airbench94"
    fields = {
        **({} if airbench else {"model": MODELS[net]}),
        "batch_size": batch_size,
        "precision": precision,
        "convolutions": CONVOLUTIONS[name],
    }
    return Contender(
        name=name,
        command=(
            sys.executable,
            str(FOLDER / "jax_worker.py"),
            f"--config=cifar10_{net if airbench else 'resnet18'}",
            *(f"--config.{field}={value}" for field, value in fields.items()),
            *([f"--data_dir={data_dir}"] if data_dir else []),
        ),
        environment={
            malloc.VARIABLE: malloc.MALLOC,  # as run.py sets it for itself
            "JAX_PLATFORMS": "cpu",
        },
        setting={"malloc": "tuned"},
    )


def torch(name: str, net: str, batch_size: int, python: str) -> list[Contender]:
    """PyTorch's step in every setting that may suit it: the fastest is to be chosen."""
    mode = name.removeprefix("torch-")
    command = (
        python,
        str(FOLDER / "torch_worker.py"),
        f"--net={net}",
        f"--mode={mode}",
        f"--batch_size={batch_size}",
    )
    return [
        Contender(
            name=name,
            command=(*command, f"--layout={layout}"),
            environment={malloc.VARIABLE: tunables},
            setting={"layout": layout, "malloc": tuning},
        )
        for layout, (tuning, tunables) in itertools.product(LAYOUTS, MALLOC.items())
    ]


def fastest(candidates: list[Contender], warm_up: int, steps: int) -> tuple[Contender, list[dict]]:
    """The candidate with the most images a second, and what each one reached.

    Raises:
      ContenderFailed: none of them runs.
    """
    tried, failure = [], None
    for candidate in candidates:
        try:
            speed = candidate.run(warm_up, steps)["images_per_second"]
        except ContenderFailed as error:
            failure = error
            continue
        tried.append((speed, candidate))
    if not tried:
        raise failure or ContenderFailed("nothing to try")
    _, best = max(tried, key=lambda pair: pair[0])
    return best, [{**c.setting, "images_per_second": speed} for speed, c in tried]
