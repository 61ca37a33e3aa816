from __future__ import annotations

import json

from cnn_jax.results.benchmark_tables import side_by_side_table


def write(folder, net: str, ours: float, theirs: float, peer="torch-eager-float32", **more) -> None:
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
    } | more
    slug = "".join(c if c.isalnum() else "-" for c in result["device"].lower())
    precision = result.get("precision", "float32")
    path = folder / f"side_by_side-{net}-{precision}-py3.13-{slug}.json"
    path.write_text(json.dumps(result))


def test_the_nets_stand_by_their_ratio(tmp_path):
    write(tmp_path, "slow", 50, 100)
    faster = {"images_per_second": {"median": 1.5, "min": 1.4, "max": 1.6}}
    write(tmp_path, "fast", 1_250, 1_000, onednn_ratios={"torch-eager-float32": faster})
    write(tmp_path, "alone", 10, 10, peer="jax-stock")
    device, _, _, _, first, second = side_by_side_table("3.13", folder=tmp_path).splitlines()
    assert device == "A Processor, 2 cores:"
    assert first == (
        "| fast | 64 | 1,250.0 | 1,000.0 | 1.25 (1.12 to 1.38) | 1.50 (1.40 to 1.60) | 0.75 |"
    )
    assert second == "| slow | 64 | 50.0 | 100.0 | 0.50 (0.45 to 0.55) | | 0.75 |"


def test_each_device_has_a_table(tmp_path):
    write(tmp_path, "fast", 2, 1)
    write(tmp_path, "fast", 3, 1, device="Another, 4 cores")
    first, second = side_by_side_table("3.13", folder=tmp_path).split("\n\nAnother, 4 cores:\n\n")
    assert "| 2.00 (" in first and "| 3.00 (" in second


def test_files_of_another_python_are_left_out(tmp_path):
    write(tmp_path, "fast", 2, 1)
    assert side_by_side_table("3.11", folder=tmp_path) == ""


def test_a_precision_has_a_table_of_its_own(tmp_path):
    write(tmp_path, "fast", 2, 1)
    write(tmp_path, "fast", 3, 1, peer="torch-bfloat16", precision="bfloat16")
    assert "| 3.00 (" in side_by_side_table("3.13", "bfloat16", folder=tmp_path)
    assert "| 2.00 (" in side_by_side_table("3.13", folder=tmp_path)
