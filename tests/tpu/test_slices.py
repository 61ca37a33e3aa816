"""Slices by name, and what a user is told where libtpu can't help."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.tpu.chips import chip_of
from cnn_jax.tpu.slices import Slices, slices


@pytest.mark.parametrize("name", ["v5e", "v5e:", "v5e:4", "v5e:4*4", "v5e:4x", "4x4", "v5e:4x4 x"])
def test_a_name_of_another_form_is_refused(name, monkeypatch):
    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", lambda **_: 1 / 0)
    if name == "v5e:4":  # one axis is a topology, as far as the form goes
        with pytest.raises(ZeroDivisionError):
            slices(name)
    else:
        with pytest.raises(UserError, match="--topology must be like v5e:4x4"):
            slices(name)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("JAX TPU support not installed; see", r"needs libtpu: pip install 'jax\[tpu\]'"),
        ("Invalid TPU external name: TPU v9\nmore", "v9:2x2: libtpu refuses it: Invalid TPU ext"),
    ],
)
def test_what_libtpu_says_is_one_line(answer, message, monkeypatch):
    def refuse(**_):
        raise RuntimeError(answer)

    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", refuse)
    with pytest.raises(UserError, match=message) as caught:
        slices("v9:2x2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("topology", "chips"), [("V5E:16x16", 256), ("v5e:16x32", 512)])
def test_a_slice_is_no_larger_than_a_pod(topology, chips, monkeypatch):
    class Answer:
        devices = (SimpleNamespace(device_kind="TPU v5 lite"),) * chips

    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", lambda **_: Answer)
    if chips > 256:
        with pytest.raises(UserError, match="a slice of v5e has at most 256 chips"):
            slices(topology)
    else:
        assert slices(topology).topology == "v5e:16x16"


@pytest.mark.parametrize(
    ("kind", "axes", "rings"),
    [
        ("TPU v5 lite", (16, 16), (True, True)),
        ("TPU v5 lite", (8, 16), (False, True)),
        ("TPU v6 lite", (4, 4), (False, False)),
        ("TPU v5", (4, 4, 8), (True, True, True)),
        ("TPU v5", (2, 4, 4), (False, False, False)),
        ("TPU v5", (4, 4), (False, False)),  # of 4x4x1
        ("TPU v1", (16, 16), (False, False)),
    ],
)
def test_which_axes_close_to_rings(kind, axes, rings):
    assert Slices("", 1, axes, chip_of(kind), ()).rings == rings


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--topology=v5e:2x2"], "--topology needs --dry_run"),
        (["--dry_run", "--num_slices=2"], "--num_slices needs --topology"),
        (["--dry_run", "--output=x.json"], "or compare or --topology"),
        (["--mode=evaluate", "--topology=v5e:2x2"], "--topology is for --mode=train"),
    ],
)
def test_flags_that_do_not_go_together(flags, message, capsys):
    assert cli.main(["run.py", *flags]) == 2
    assert message in capsys.readouterr().err
