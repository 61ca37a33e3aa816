"""What --slurm may say."""

from __future__ import annotations

import pytest

from cnn_jax.errors import UserError
from cnn_jax.submission.options import options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("hours=8", {"timeout_min": 480}),
        ("hours=0.01, gpus=2,cpus=4,memory=16,nodes=3", {
            "timeout_min": 1, "gpus_per_node": 2, "cpus_per_task": 4, "mem_gb": 16, "nodes": 3,
        }),
        ("partition=gpu", {"slurm_additional_parameters": {"partition": "gpu"}}),
        (
            "nodelist=n1,n2,gpus=1,--mail_user=a@b.c",
            {
                "gpus_per_node": 1,
                "slurm_additional_parameters": {"nodelist": "n1,n2", "mail-user": "a@b.c"},
            },
        ),
    ],
)  # fmt: skip
def test_options_become_submitit_s_parameters(text, expected):
    assert options(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "'gpu' must have the form name=value"),
        ("hours=long", "hours=long must be a positive number"),
        ("hours=-1", "hours=-1 must be"),
        ("hours=nan", "hours=nan must be"),
        ("gpus=1.5", "gpus=1.5 must be"),
        ("gpus=0", "gpus=0 must be"),
        ("gpu=2", "write gpus=2"),
    ],
)
def test_mistakes_are_one_line(text, message):
    with pytest.raises(UserError, match=f"^--slurm: .*{message}"):
        options(text)
