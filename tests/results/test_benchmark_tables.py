from __future__ import annotations

import json

from cnn_jax.results.benchmark_tables import side_by_side_table


def write(folder, net: str, ours: float, theirs: float, peer: str = "torch-eager-float32") -> None:
    def spread(value):
        return {"median": value, "min": 0.9 * value, "max": 1.1 * value}

    sides = {"cnn_jax": ours, peer: theirs}
    result = {
        "net": net,
        "batch_size": 64,
        "device": "A Processor, 2 cores",
        "contenders": [
            {"name": name, "images_per_second": spread(speed)} for name, speed in sides.items()
        ],
        "ratios": {
            peer: {"images_per_second": spread(ours / theirs), "peak_rss_bytes": spread(0.75)}
        },
    }
    path = folder / f"side_by_side-{net}-float32-py3.13.json"
    path.write_text(json.dumps(result))


def test_the_nets_stand_by_their_ratio(tmp_path):
    write(tmp_path, "slow", 50, 100)
    write(tmp_path, "fast", 1_250, 1_000)
    write(tmp_path, "alone", 10, 10, peer="jax-stock")
    *_, first, second = side_by_side_table("3.13", tmp_path).splitlines()
    assert first == ("| fast | 64 | 1,250.0 | 1,000.0 | 1.25 (1.12 to 1.38) | 0.75 | A Processor |")
    assert second.startswith("| slow | 64 | 50.0 | 100.0 | 0.50 ")


def test_files_of_another_python_are_left_out(tmp_path):
    write(tmp_path, "fast", 2, 1)
    assert len(side_by_side_table("3.11", tmp_path).splitlines()) == 2
