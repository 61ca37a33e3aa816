"""One of our contenders in stage 3, in a process of its own: see turns.py."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stages.task import Context
from stages.throughput import serve_ours

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("precision")
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--data_dir")
    parser.add_argument("--rehearse", action="store_true")
    flags = parser.parse_args()
    context = Context(flags.rehearse, flags.scratch, flags.data_dir, "", None, {})
    serve_ours(flags.recipe, flags.precision, flags.batch_size, context)
