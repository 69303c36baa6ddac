"""Cutting a TCP stream into messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.framing import (
    KEEP_ALIVE_PING,
    PONG,
    Frame,
    StreamFramer,
    is_keep_alive,
)
from voiceblocks.sip.message import parse_message, salvage_request

OPTIONS = b"OPTIONS sip:x SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"
MESSAGE = b"MESSAGE sip:x SIP/2.0\r\nc: text/plain\r\nL :\r\n 6 \r\n\r\n\r\n\r\nab"
BARE = b"OPTIONS sip:x SIP/2.0\nl: 2\n\nab"


def drain(framer: StreamFramer) -> list[Frame]:
    """Take out all that is complete."""
    frames = []
    while (frame := framer.next_message()) is not None:
        frames.append(frame)
    return frames


def test_pipelined() -> None:
    """Several messages in one read come out one by one, bodies that look like pings included."""
    framer = StreamFramer()
    framer.feed(OPTIONS + MESSAGE + BARE + OPTIONS[:10])
    assert drain(framer) == [OPTIONS, MESSAGE, BARE]
    assert framer.buffered_bytes == 10
    framer.feed(OPTIONS[10:])
    assert drain(framer) == [OPTIONS]
    assert framer.buffered_bytes == 0


@given(st.lists(st.integers(1, 40), max_size=60))
def test_any_slicing(sizes: list[int]) -> None:
    """How the stream was sliced into reads never matters."""
    stream = OPTIONS + b"\r\n\r\n" + MESSAGE + b"\r\n" + BARE + b"\r\n\r\n\r\n\r\n" + OPTIONS
    framer = StreamFramer()
    frames: list[Frame] = []
    at = 0
    for size in [*sizes, len(stream)]:
        framer.feed(stream[at : at + size])
        frames += drain(framer)
        at += size
    ping = KEEP_ALIVE_PING
    assert frames == [OPTIONS, ping, MESSAGE, BARE, ping, ping, OPTIONS]


def test_keep_alive() -> None:
    """A double CRLF is a ping, a single one is the answer to ours; both may come in pieces."""
    framer = StreamFramer()
    for byte in b"\r\n":
        framer.feed(bytes([byte]))
        assert drain(framer) == []
    framer.feed(OPTIONS)
    assert drain(framer) == [OPTIONS]
    for byte in b"\r\n\r":
        framer.feed(bytes([byte]))
        assert drain(framer) == []
    framer.feed(b"\n")
    assert drain(framer) == [KEEP_ALIVE_PING]
    assert PONG == b"\r\n"


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [(b"", True), (b"\r\n\r\n", True), (b"\0\0\0\0", True), (b" ", True), (OPTIONS, False)],
)
def test_keep_alive_datagrams(datagram: bytes, expected: bool) -> None:
    """On UDP, phones keep their NAT binding open with almost nothing."""
    assert is_keep_alive(datagram) is expected


def test_missing_content_length() -> None:
    """Without Content-Length a message ends with its headers; with a body that is an error."""
    bodiless = OPTIONS.replace(b"Content-Length: 0\r\n", b"")
    framer = StreamFramer()
    framer.feed(bodiless * 2)
    assert drain(framer) == [bodiless, bodiless]
    framer.feed(MESSAGE.replace(b"L :\r\n 6", b"X: 6"))
    with pytest.raises(RemoteSipError):
        framer.next_message()


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (OPTIONS.replace(b": 0", b": -1"), 400),
        (OPTIONS.replace(b": 0", b": x"), 400),
        (OPTIONS.replace(b": 0", b": 0\r\nl: 1"), 400),
        (OPTIONS.replace(b": 0", b": 65500"), 513),
        (OPTIONS.replace(b": 0", b": 99999999999999999999"), 400),
        (b"X" * 40000, 513),
        (b"OPTIONS sip:x SIP/2.0\r\n" + b"A: b\r\n" * 6000, 513),
    ],
    ids=["negative", "no number", "two", "too long", "absurd", "no line", "no end"],
)
def test_out_of_step(stream: bytes, status: int) -> None:
    """After an error the stream cannot be trusted again, and nothing more is kept."""
    framer = StreamFramer()
    framer.feed(stream)
    for _ in range(2):
        with pytest.raises(RemoteSipError) as refusal:
            framer.next_message()
        assert refusal.value.status_hint == status
        buffered = framer.buffered_bytes
        framer.feed(OPTIONS)
        assert framer.buffered_bytes == buffered


def test_refusal_can_be_answered() -> None:
    """What could not be framed is still there for a 400."""
    data = (Path(__file__).parents[2] / "data" / "sip" / "ncl.sip").read_bytes()
    framer = StreamFramer()
    framer.feed(OPTIONS + data)
    assert framer.next_message() == OPTIONS
    with pytest.raises(RemoteSipError):
        framer.next_message()
    request = salvage_request(framer.unframed)
    assert request is not None
    assert request.call_id.startswith("ncl.")


@pytest.mark.parametrize(
    "name", ["wsinv", "longreq", "mpart01", "semiuri", "noreason", "intmeth", "esc01"]
)
def test_torture_byte_by_byte(name: str) -> None:
    """The torture messages come out whole when every read brings one byte."""
    data = (Path(__file__).parents[2] / "data" / "sip" / f"{name}.sip").read_bytes()
    framer = StreamFramer()
    frames: list[Frame] = []
    for at in range(len(data)):
        framer.feed(data[at : at + 1])
        frames += drain(framer)
    assert frames == [data]
    parse_message(data)


def test_dblreq_on_a_stream() -> None:
    """On a stream the two requests of dblreq are two; its last body is longer than it says."""
    data = (Path(__file__).parents[2] / "data" / "sip" / "dblreq.sip").read_bytes()
    framer = StreamFramer()
    framer.feed(data)
    frames = [frame for frame in drain(framer) if isinstance(frame, bytes)]
    first, second = (parse_message(frame) for frame in frames[:2])
    assert (first.cseq.method, second.cseq.method) == ("REGISTER", "INVITE")


@given(st.lists(st.binary(max_size=50) | st.sampled_from([OPTIONS, MESSAGE, b"\r\n", b"\n\n"])))
def test_any_stream(reads: list[bytes]) -> None:
    """Whatever arrives is framed or refused, and nothing is lost or invented."""
    framer = StreamFramer()
    taken = 0
    try:
        for read in reads:
            framer.feed(read)
            taken += sum(len(frame) for frame in drain(framer) if isinstance(frame, bytes))
    except RemoteSipError:
        return
    assert taken + framer.buffered_bytes <= sum(map(len, reads))
