"""Training speed and memory beside PyTorch, and beside the same net with other convolutions.

    python benchmarks/side_by_side.py --net=airbench94 --torch_python=TORCH_VENV/bin/python

Each contender runs in a process of its own, in turn: A B C, A B C, ... PyTorch first tries each
memory layout and malloc setting, and gets the fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import contenders
import pairs
from contenders import ONEDNN, OURS, STOCK, TORCH, Contender, ContenderFailed

from cnn_jax.results.writing import slug

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"


def main() -> int:
    flags = _flags()
    batch_size = flags.batch_size or contenders.usual_batch_size(flags.net)
    try:
        field, tried, left_out = _field(flags, batch_size)
        runs = _take_turns(field, flags)
    except ContenderFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    ours = runs[OURS][0]
    result = {
        "net": flags.net,
        "batch_size": batch_size,
        "precision": flags.precision,
        "pairs": flags.pairs,
        "warm_up": flags.warm_up,
        "steps": flags.steps,
        "threads": ours["threads"],
        "device": ours["device"],
        "platform": platform.platform(),
        "data": ours["data"],
        "git": ours["git"],
        "date": time.strftime("%Y-%m-%d"),
        "contenders": [_summary(side, runs[side.name]) for side in field],
        "ratios": _ratios(OURS, runs),
        "onednn_ratios": _ratios(ONEDNN, runs) if ONEDNN in runs else {},
        "tried": tried,
        "left_out": left_out,
        "runs": runs,
    }
    python = ".".join(platform.python_version_tuple()[:2])
    where = f"py{python}-{slug(ours['device'])}"
    default = RESULTS / f"side_by_side-{flags.net}-{flags.precision}-{where}.json"
    out = flags.out or default
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(_table(result), f"written to {out}", sep="\n")
    return 0


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", choices=contenders.NETS, default="airbench94")
    parser.add_argument("--against", default=",".join((*TORCH, STOCK)), help="Names, by commas")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batch_size", type=int, help="Default: 500 for airbench94, else 64")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--warm_up", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--trial_steps", type=int, default=4, help="To choose PyTorch's setting")
    parser.add_argument(
        "--torch_python",
        default=os.environ.get("CNN_JAX_TORCH_PYTHON"),
        help="A Python that has torch; default: $CNN_JAX_TORCH_PYTHON",
    )
    parser.add_argument("--data_dir", help="Where TFDS data is; default: $TFDS_DATA_DIR")
    parser.add_argument("--out", type=Path, help="Default: a file in results/benchmarks/")
    flags = parser.parse_args()
    flags.against, known = flags.against.split(","), (*TORCH, ONEDNN, STOCK)
    for name in flags.against:
        if name not in known:
            parser.error(f"--against: {name!r} is none of {', '.join(known)}")
        if name in TORCH and not flags.torch_python:
            parser.error(f"{name} needs --torch_python (or CNN_JAX_TORCH_PYTHON)")
    for name in ("pairs", "warm_up", "steps", "trial_steps"):
        if getattr(flags, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return flags


def _field(
    flags: argparse.Namespace, batch_size: int
) -> tuple[list[Contender], dict[str, Any], dict[str, str]]:
    """The contenders, ours first; what PyTorch's settings reached; and who can't run, and why."""
    field = [contenders.jax(OURS, flags.net, batch_size, flags.precision, flags.data_dir)]
    tried, left_out = {}, {}
    for name in flags.against:
        if name not in TORCH:
            # Stock convolutions gain nothing by bfloat16 on a CPU: they are computed in float32.
            precision = "float32" if name == STOCK else flags.precision
            field.append(contenders.jax(name, flags.net, batch_size, precision, flags.data_dir))
            continue
        candidates = contenders.torch(name, flags.net, batch_size, flags.torch_python)
        try:
            best, tried[name] = contenders.fastest(candidates, flags.warm_up, flags.trial_steps)
        except ContenderFailed as error:
            left_out[name] = str(error)
            print(f"{name} is left out: {error}", flush=True)
            continue
        field.append(best)
        print(f"{name} is fastest with {_words(best.setting)}", flush=True)
    return field, tried, left_out


def _take_turns(field: list[Contender], flags: argparse.Namespace) -> dict[str, list[dict]]:
    """Each contender's runs, one a round."""
    runs: dict[str, list[dict]] = {side.name: [] for side in field}
    for number in range(1, flags.pairs + 1):
        for side in field:
            load = os.getloadavg()[0]
            run = side.run(flags.warm_up, flags.steps)
            runs[side.name].append(run | {"load_before": load})
            print(
                f"round {number}/{flags.pairs}  {side.name:<24}"
                f"{run['images_per_second']:>9,.1f} images/s",
                flush=True,
            )
    return runs


def _summary(side: Contender, runs: list[dict]) -> dict[str, Any]:
    return {
        "name": side.name,
        "setting": side.setting,
        "versions": runs[0]["versions"],
        "images_per_second": pairs.spread([run["images_per_second"] for run in runs]),
        "peak_rss_bytes": pairs.spread([run["peak_rss_bytes"] for run in runs]),
    }


def _ratios(one: str, runs: dict[str, list[dict]]) -> dict[str, dict[str, pairs.Spread]]:
    """One contender's over each other's, of speed and of memory."""

    def column(name: str, key: str) -> list[float]:
        return [run[key] for run in runs[name]]

    keys = ("images_per_second", "peak_rss_bytes")
    return {
        name: {key: pairs.ratios(column(one, key), column(name, key)) for key in keys}
        for name in runs
        if name != one
    }


def _table(result: dict[str, Any]) -> str:
    versions = {}
    for side in result["contenders"]:
        versions |= side["versions"]
    lines = [
        f"\n{result['net']}, batch {result['batch_size']}, ours in {result['precision']}, "
        f"{result['device']}, {result['threads']} threads, {result['pairs']} rounds of "
        f"{result['warm_up']} + {result['steps']} steps, pictures: {result['data']}",
        _words(versions),
        f"{'':<24}{'images/s':>26}{'peak memory':>14}{'ours/its':>20}{'memory':>8}",
    ]
    for side in result["contenders"]:
        ratio = result["ratios"].get(side["name"])
        speed = pairs.in_words(side["images_per_second"], 1)
        memory = f"{side['peak_rss_bytes']['median'] / 1e9:.2f} GB"
        line = f"{side['name']:<24}{speed:>26}{memory:>14}"
        if ratio:
            line += f"{pairs.in_words(ratio['images_per_second']):>20}"
            line += f"{ratio['peak_rss_bytes']['median']:>8.2f}"
        lines.append(line)
    return "\n".join([*lines, "median (least..greatest); a ratio above 1: ours is faster"])


def _words(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


if __name__ == "__main__":
    sys.exit(main())
