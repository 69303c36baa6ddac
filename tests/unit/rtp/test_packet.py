"""RTP packets as values."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteRtpError
from voiceblocks.rtp.packet import RtpPacket

packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=50),
    marker=st.booleans(),
    csrc=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extension=st.none()
    | st.tuples(
        st.integers(0, 0xFFFF), st.binary(max_size=20).map(lambda data: data[: len(data) // 4 * 4])
    ),
)


@given(packets)
def test_parse_is_the_inverse_of_serialize(packet: RtpPacket):
    """Every field survives."""
    assert RtpPacket.parse(packet.serialize()) == packet


@given(st.binary(max_size=80))
def test_any_bytes_give_a_packet_or_the_documented_error(data: bytes):
    """Nothing else is ever raised."""
    with contextlib.suppress(RemoteRtpError):
        RtpPacket.parse(data)


def test_padding_is_dropped():
    """The last byte counts the padding, itself included (RFC 3550 section 5.1)."""
    data = bytearray(RtpPacket(0, 1, 2, 3, b"abc").serialize())
    data[0] |= 0x20
    assert RtpPacket.parse(bytes(data) + b"\0\0\3").payload == b"abc"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x80" * 11, "shorter than its header"),
        (b"\x40" + bytes(11), "version is not 2"),
        (b"\x8f" + bytes(11), "CSRC list is truncated"),
        (b"\x90" + bytes(13), "extension header is truncated"),
        (b"\x90" + bytes(11) + b"\0\0\0\2" + bytes(4), "extension body is truncated"),
        (b"\xa0" + bytes(11), "padding length is invalid"),
        (b"\xa0" + bytes(11) + b"\5", "padding length is invalid"),
    ],
)
def test_malformed_packets_are_named(data: bytes, sentence: str):
    """Each defect has its own sentence."""
    with pytest.raises(RemoteRtpError, match=sentence):
        RtpPacket.parse(data)
