"""Carries CIFAR-10 to a machine without a network or TFDS, in two files of about 51 MiB.

    python benchmarks/pack_cifar10.py pack OUT                  here; reads $TFDS_DATA_DIR
    python benchmarks/pack_cifar10.py unpack IN TFDS_DATA_DIR   there; needs numpy and pillow

The images are stored as lossless WebP. `unpack` may be called once for each file, in any order;
with both it writes the arrays that `Cifar10` reads, and checks their digests.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnn_jax.data import Cifar10
from cnn_jax.data.dataset import digest
from cnn_jax.data.tfds.folders import OURS

# The parts of each file: split, first and last image.
FILES = ((("train", 0, 30000),), (("train", 30000, 50000), ("test", 0, 10000)))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pack").add_argument("out", type=Path)
    unpack_parser = commands.add_parser("unpack")
    unpack_parser.add_argument("source", type=Path)
    unpack_parser.add_argument("data_dir", type=Path)
    flags = parser.parse_args()
    if flags.command == "pack":
        pack(flags.out)
    else:
        unpack(flags.source, flags.data_dir)
    return 0


def pack(folder: Path) -> None:
    """Writes cifar10-0.npz and cifar10-1.npz."""
    data = Cifar10(validation=0).load()
    folder.mkdir(parents=True, exist_ok=True)
    for number, parts in enumerate(FILES):
        arrays = {}
        for split, start, stop in parts:
            examples = getattr(data, split)
            content, lengths = packed(examples.images[start:stop])
            arrays |= {f"{split}_bytes": content, f"{split}_lengths": lengths}
            arrays[f"{split}_labels"] = examples.labels[start:stop]
        path = folder / f"cifar10-{number}.npz"
        np.savez(path, **arrays)
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


def unpack(source: Path, data_dir: Path) -> None:
    """Unpacks the files that are in `source`; once all parts are there, writes the arrays.

    Raises:
      SystemExit: the arrays are not CIFAR-10's.
    """
    folder = Cifar10.source.folder(data_dir / OURS) / "arrays"
    parts_folder = data_dir / "parts"
    parts_folder.mkdir(parents=True, exist_ok=True)
    for number, parts in enumerate(FILES):
        path = source / f"cifar10-{number}.npz"
        if not path.exists():
            continue
        with np.load(path) as arrays:
            for split, start, _ in parts:
                images = unpacked(arrays[f"{split}_bytes"], arrays[f"{split}_lengths"])
                np.save(parts_folder / f"{split}_images-{start}.npy", images)
                np.save(parts_folder / f"{split}_labels-{start}.npy", arrays[f"{split}_labels"])
    wanted = [part for parts in FILES for part in parts]
    names = [f"{split}_images-{start}.npy" for split, start, _ in wanted]
    missing = [name for name in names if not (parts_folder / name).exists()]
    if missing:
        print(f"unpacked; still missing: {', '.join(missing)}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, expected in Cifar10.source.digests.items():
        split, kind = name.split("_")
        starts = [start for part, start, _ in wanted if part == split]
        parts_of = [np.load(parts_folder / f"{split}_{kind}-{start}.npy") for start in starts]
        array = np.concatenate(parts_of)
        if digest(array) != expected:
            raise SystemExit(f"error: {name} is not CIFAR-10's: pack and carry the files again")
        np.save(folder / f"{name}.npy", array)
    print(f"CIFAR-10 is in {data_dir}: set TFDS_DATA_DIR to it")


def packed(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """u8[N,H,W,3] -> their lossless WebP files in one array u8[...], and the length of each."""
    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "WEBP", lossless=True, quality=100, method=4)
        files.append(buffer.getvalue())
    lengths = np.array([len(file) for file in files], np.int32)
    return np.frombuffer(b"".join(files), np.uint8), lengths


def unpacked(content: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The images u8[N,H,W,3] that `packed` packed."""
    files = np.split(content, np.cumsum(lengths)[:-1])
    return np.stack([np.asarray(Image.open(io.BytesIO(f.tobytes())).convert("RGB")) for f in files])


if __name__ == "__main__":
    sys.exit(main())
