"""Reads a folder of photos beside torchvision's ImageFolder, on the same cores.

    python benchmarks/read_pictures.py make /tmp/photos
    python benchmarks/read_pictures.py compare /tmp/photos --torch_python=TORCH_VENV/bin/python

`make` draws 10,000 smooth JPEGs of 1000x750, about 100 kB each. `compare` reads them to 224x224 in
turns, each side in a process of its own with nothing cached but the files:

- load: `Folder.load`, which also writes the cache to disk, fills the arrays that training uses,
  and computes their digests and statistics;
- decode: our decoding alone, whose results are dropped;
- torchvision: `torch.utils.data` with one worker for each core; ImageFolder, Resize, CenterCrop and
  PILToTensor, into batches of 100 that are dropped.

With "draft", all sides let Pillow decode at a scale that leaves at least twice the output's pixels
a side.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"
CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "compare", *SIDES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=10_000, help="Photos that are made")
    parser.add_argument("--height", type=int, default=750, help="Of photos that are made")
    parser.add_argument("--width", type=int, default=1000, help="Of photos that are made")
    parser.add_argument("--size", type=int, nargs="+", default=[224], help="Sizes to compare")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--decode", nargs="+", default=["full", "draft"], help="As Folder's")
    parser.add_argument("--torch_python", default=os.environ.get("CNN_JAX_TORCH_PYTHON"))
    flags = parser.parse_args()
    {"make": make, "compare": compare, **SIDES}[flags.what](flags)


def make(flags: argparse.Namespace) -> None:
    """Draws the photos: a coarse and a finer smooth noise, so that a JPEG takes about 100 kB."""
    with concurrent.futures.ProcessPoolExecutor() as pool:
        paths = [
            flags.folder / f"class{number % CLASSES}" / f"{number:05}.jpg"
            for number in range(flags.number)
        ]
        draw = functools.partial(_draw, flags.height, flags.width)
        sizes = list(pool.map(draw, range(flags.number), paths, chunksize=50))
    print(f"{len(sizes):,} photos, {statistics.mean(sizes) / 1000:.0f} kB each on average")


def _draw(down: int, across: int, seed: int, path: Path) -> int:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(seed)

    def noise(height: int, width: int) -> np.ndarray:
        coarse = Image.fromarray(random.integers(0, 256, (height, width, 3)).astype(np.uint8))
        return np.asarray(coarse.resize((across, down), Image.Resampling.BICUBIC), np.float32)

    pixels = 0.85 * noise(24, 32) + 0.15 * noise(180, 240)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=78)
    return path.stat().st_size


def load(flags: argparse.Namespace) -> None:
    from cnn_jax.data import Folder

    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        begun = time.perf_counter()
        data = Folder(str(flags.folder), size=flags.size[0], decode=flags.decode[0]).load()
        seconds = time.perf_counter() - begun
    splits = (data.train, data.validation, data.test)
    print(json.dumps(sum(len(split) for split in splits if split) / seconds))


def decode(flags: argparse.Namespace) -> None:
    from cnn_jax.data.pictures.decoding import decode_all
    from cnn_jax.data.pictures.picture_form import PictureForm

    paths = sorted(flags.folder.rglob("*.jpg"))
    form = PictureForm(flags.size[0], flags.size[0], decode=flags.decode[0])
    begun = time.perf_counter()
    number = sum(1 for _ in decode_all(paths, form))
    print(json.dumps(number / (time.perf_counter() - begun)))


def torchvision(flags: argparse.Namespace) -> None:
    import torch
    from PIL import Image
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    size = flags.size[0]

    def read(path: str) -> Image.Image:
        with open(path, "rb") as file, Image.open(file) as image:
            if flags.decode[0] == "draft":
                scale = 2 * size / min(image.size)
                image.draft("RGB", tuple(round(scale * side) for side in image.size))
            return image.convert("RGB")

    transform = v2.Compose([v2.Resize(size), v2.CenterCrop(size), v2.PILToTensor()])
    begun = time.perf_counter()
    images = torch.utils.data.DataLoader(
        ImageFolder(flags.folder, transform, loader=read),
        batch_size=100,
        num_workers=len(os.sched_getaffinity(0)),
    )
    number = sum(len(labels) for _, labels in images)
    print(json.dumps(number / (time.perf_counter() - begun)))


def compare(flags: argparse.Namespace) -> None:
    pythons = dict.fromkeys(SIDES, sys.executable) | {"torchvision": flags.torch_python}
    rows = []
    for path in flags.folder.rglob("*.jpg"):
        path.read_bytes()  # into the page cache
    for size in flags.size:
        for decode in flags.decode:
            speeds: dict[str, list[float]] = {name: [] for name in pythons}
            for _ in range(flags.turns):
                for name, python in pythons.items():
                    command = [python, __file__, name, flags.folder, f"--decode={decode}"]
                    done = subprocess.run(
                        [*map(str, command), "--size", str(size)], capture_output=True, check=True
                    )
                    speeds[name].append(json.loads(done.stdout.splitlines()[-1]))
            theirs = speeds["torchvision"]
            print(f"{size}x{size}, {decode}, images/s and ratio to torchvision:")
            for name, values in speeds.items():
                ratios = [a / b for a, b in zip(values, theirs, strict=True)]
                print(f"  {name:11}  {_spread(values, 0)}  {_spread(ratios, 2)}", flush=True)
            rows.append({"size": size, "decode": decode, "images_per_second": speeds})
    from cnn_jax.runtime import hardware, host

    python = ".".join(platform.python_version_tuple()[:2])
    out = RESULTS / f"read_pictures-py{python}.json"
    kept = json.loads(out.read_text())["rows"] if out.exists() else []
    facts = {
        "photos": sum(1 for _ in flags.folder.rglob("*.jpg")),
        "processor": host.processor(),
        "cores": host.cores(),
        "git": hardware.git(),
        "date": time.strftime("%Y-%m-%d"),
    }
    rows = [facts | row for row in rows]
    measured = [(row["size"], row["decode"]) for row in rows]
    kept = [row for row in kept if (row["size"], row["decode"]) not in measured]
    out.write_text(json.dumps({"rows": kept + rows}, indent=2) + "\n")
    print(f"written to {out}")


def _spread(values: list[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


SIDES = {"load": load, "decode": decode, "torchvision": torchvision}

if __name__ == "__main__":
    main()
