"""TensorBoard's event files, read as it reads them."""

from __future__ import annotations

import struct


def events(path):
    """The events of one file by the TFRecord layout: length, its CRC, message, its CRC."""
    from tensorboardX.proto import event_pb2

    content, place = path.read_bytes(), 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        yield event_pb2.Event.FromString(content[place + 12 : place + 12 + length])
        place += 12 + length + 4


def scalars_shown(folder):
    """{(tag, step): value} as TensorBoard's event accumulator keeps them.

    It reads the files by name; the first session start only marks the run's beginning, each
    later one drops what was read before from its step on.
    """
    shown, seen_start = [], False
    for path in sorted(folder.iterdir()):
        for event in events(path):
            if event.HasField("session_log"):
                if seen_start:
                    shown = [entry for entry in shown if entry[1] < event.step]
                seen_start = True
            shown += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    assert len({entry[:2] for entry in shown}) == len(shown), "a scalar is shown twice"
    return {(tag, step): value for tag, step, value in shown}
