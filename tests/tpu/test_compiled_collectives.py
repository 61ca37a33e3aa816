"""Exchanges are read from XLA's text, in each form that it has."""

from __future__ import annotations

import pytest

from cnn_jax.tpu.collectives import Collective, collectives

# As compilers write them, shortened where "..." stands. Bytes are counted by hand.
LINES = {
    # jax 0.12 for v5e: a sum of several arrays, over an axis of the mesh
    "%all-reduce.1 = (f32[8]{0:T(128)S(1)}, f32[3,3,3,8]{3,2,1,0:T(4,128)S(1)}, /*index=2*/"
    "f32[]{:T(128)}) all-reduce(%a, %b, %c), channel_id=2, replica_groups=mesh['batch'=4] "
    "{'batch'}, use_global_device_ids=true, to_apply=%r, "
    'metadata={op_name="jit(on_each)/shard_map/psum" stack_frame_id=161}': Collective(
        "all-reduce", 4 * (8 + 216 + 1), 4, ("batch",), "jit(on_each)/shard_map/psum"
    ),
    # a mesh of two axes
    "%r = bf16[10,2]{1,0} all-reduce(%a), channel_id=1, replica_groups=mesh['slice'=2,'batch'=8] "
    "{'slice','batch'}, to_apply=%r": Collective("all-reduce", 40, 16, ("slice", "batch"), ""),
    # groups that are counted, and lists of devices
    "%r = f32[5]{0} all-reduce(%a), channel_id=1, replica_groups=[2,8]<=[16], to_apply=%r": (
        Collective("all-reduce", 20, 8, (), "")
    ),
    "ROOT %r = s32[3]{0} all-reduce(%a), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%r": (
        Collective("all-reduce", 12, 4, (), "")
    ),
    "%r = pred[7]{0} all-reduce(%a), replica_groups={}, to_apply=%r": (
        Collective("all-reduce", 7, 0, (), "")
    ),
    # one that is begun, and awaited later: counted once
    "%s = f32[100]{0} all-reduce-start(%a), replica_groups={{0,1}}, to_apply=%r\n"
    "%d = f32[100]{0} all-reduce-done(%s)": Collective("all-reduce", 400, 2, (), ""),
    # its operand and its result; the result counts
    "%g = (u8[4,32]{1,0}, u8[16,32]{1,0}) all-gather-start(%a), replica_groups=[1,4]<=[4], "
    "dimensions={0}": Collective("all-gather", 512, 4, (), ""),
    "%s = f32[256,32]{0,1:T(8,128)} reduce-scatter(%a), replica_groups={{0,1,2,3}}, "
    "dimensions={0}": Collective("reduce-scatter", 4 * 256 * 32 * 4, 4, (), ""),
    # between slices, as libtpu does it; what is received is the same again
    "%send.6 = (f32[2,8,128]{2,1,0:T(8,128)}, u32[]{:S(2)}, token[]) send(%b, %after-all.6), "
    "channel_id=14, is_host_transfer=true, frontend_attributes={_xla_host_transfer_handler_name="
    '"xla_megascale_runtime",_xla_megascale_target="{1,2}x{0:3}",'
    '_xla_megascale_transfer_type="ALL_REDUCE"}\n'
    "%recv.6 = (f32[2,8,128]{2,1,0}, u32[]{:S(2)}, token[]) recv(%after-all.6), channel_id=13, "
    'frontend_attributes={_xla_megascale_transfer_type="ALL_REDUCE"}': (
        Collective("all-reduce", 8192, 0, (), "", between_slices=True)
    ),
    "%g = u8[16,32]{1,0} all-gather(%a), replica_groups=[1,4]<=[4], dimensions={0}": (
        Collective("all-gather", 512, 4, (), "")
    ),
}


@pytest.mark.parametrize(("text", "expected"), LINES.items(), ids=range(len(LINES)))
def test_a_line_of_the_program(text, expected):
    assert collectives(f"  {text}\n") == (expected,)


@pytest.mark.parametrize(
    "line",
    [
        "%all-reduce.2 = f32[8]{0} get-tuple-element(%all-reduce), index=0",
        "%fusion = f32[8]{0} fusion(%all-reduce), kind=kLoop, calls=%all-reduce.clone",
        '%c = s32[16]{0} custom-call(%p), custom_call_target="AssumeGatherIndicesInBound"',
        "%gather = f32[8,32]{1,0} gather(%a, %b), offset_dims={1}",
    ],
)
def test_what_only_mentions_an_exchange(line):
    assert collectives(line) == ()
