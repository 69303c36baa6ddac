"""Headers of many datagrams at once."""

from __future__ import annotations

import numpy as np

from voiceblocks.rtp.batch import first_word, header_words, new_arena, sliding_windows
from voiceblocks.rtp.packet import RtpPacket


def test_header_words_agree_with_the_parser():
    """The marker bit makes no difference, everything else does."""
    arena = new_arena(4)
    packets = [
        RtpPacket(0, 65_535, 0xFFFF_FFFF, 7, b"x", marker=True),
        RtpPacket(101, 3, 4, 0xDEAD_BEEF, b"y"),
    ]
    for row, packet in zip(arena, packets, strict=False):
        data = packet.serialize()
        row[: len(data)] = np.frombuffer(data, np.uint8)
    first, timestamp, ssrc = header_words(arena, 2)
    assert first.tolist() == [first_word(p.payload_type, p.sequence) for p in packets]
    assert timestamp.tolist() == [p.timestamp for p in packets]
    assert ssrc.tolist() == [p.ssrc for p in packets]


def test_windows_write_through():
    """One assignment writes payloads at any byte positions."""
    flat = np.zeros(20, np.uint8)
    sliding_windows(flat, 3)[np.array([1, 17])] = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert flat.tolist() == [0, 1, 2, 3, *[0] * 13, 4, 5, 6]
