"""Session descriptions: values, their inverse, and hostile bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteSipError
from voiceblocks.sdp.description import (
    Connection,
    Line,
    MediaDescription,
    Origin,
    SessionDescription,
    parse_description,
    parse_number,
)

PHONE = (
    b"v=0\r\no=alice 2890844526 2890844527 IN IP4 host.example.com\r\ns=A call\r\n"
    b"c=IN IP4 192.0.2.1/127\r\nt=0 0\r\na=tool:x\r\nX=keep me\r\n"
    b"m=audio 49170/2 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\na=candidate:1\r\n"
    b"a=candidate:2\r\nm=video 0 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\n"
)


def test_reads_a_phones_description() -> None:
    """Fields of the session and of each media section are found where they belong."""
    sdp = parse_description(PHONE)
    assert sdp.origin == Origin("alice", "2890844526", "2890844527", "IP4", "host.example.com")
    assert sdp.connection == Connection("IP4", "192.0.2.1")
    assert sdp.timing == "0 0"
    assert sdp.attribute("tool") == "x"
    assert Line("x", "keep me") in sdp.lines
    audio, video = sdp.media
    assert (audio.media, audio.port, audio.port_count, audio.formats) == (
        "audio",
        49170,
        2,
        ("0", "8"),
    )
    assert audio.connection is None
    assert audio.attribute("sendrecv") == ""
    assert audio.attribute("ptime") is None
    assert audio.attributes("candidate") == ["1", "2"]
    assert video.connection == Connection("IP6", "2001:db8::1")


def test_serialize_gives_the_bytes_back() -> None:
    """A description without oddities is written as it was read, apart from the letter's case."""
    assert parse_description(PHONE).serialize() == PHONE.replace(b"X=", b"x=")


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r", b"\n\n", b" \r\n"])
def test_line_ends_of_all_kinds(ending: bytes) -> None:
    """Bare LF, bare CR, blank lines and trailing blanks change nothing."""
    assert parse_description(PHONE.replace(b"\r\n", ending)) == parse_description(PHONE)


def test_missing_and_odd_lines_that_do_not_matter() -> None:
    """No origin, subject or time, and latin-1 text, are tolerated and kept."""
    sdp = parse_description(b"v=0\ns=Caf\xe9\no=- 1\nt=now\n")
    assert sdp.origin is None
    assert sdp.timing == "0 0"
    assert sdp.connection is None
    assert sdp.serialize() == b"v=0\r\ns=Caf\xe9\r\no=- 1\r\nt=now\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"v=1\r\n",
        b"s=-\r\nv=0\r\n",
        b"hello",
        b"v=0\r\nnonsense\r\n",
        b"v=0\r\nab=c\r\n",
        b"v=0\r\n\xc3\xa9=c\r\n",
        b"v=0\r\nc=IN IP4\r\n",
        b"v=0\r\nc=ATM IP4 1.2.3.4\r\n",
        b"v=0\r\nm=audio 5004 RTP/AVP\r\n",
        b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n",
        b"v=0\r\nm=audio -1 RTP/AVP 0\r\n",
        b"v=0\r\nm=audio 5004/x RTP/AVP 0\r\n",
        b"v=0\r\nm=audio " + b"9" * 5000 + b" RTP/AVP 0\r\n",
        b"v=0\r\nm=audio " + "\u0661".encode() + b" RTP/AVP 0\r\n",
        b"v=0\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 33,
        b"v=0\r\n" + b"a=x\r\n" * 20000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_unreadable_descriptions_are_400(data: bytes) -> None:
    """What cannot be read is a RemoteSipError with status 400."""
    with pytest.raises(RemoteSipError) as caught:
        parse_description(data)
    assert caught.value.status_hint == 400


def test_numbers() -> None:
    """Only short ASCII digits within the limit count."""
    assert parse_number("17", 17) == 17
    assert [parse_number(t, 17) for t in ("18", "", "1x", "-1", "9" * 21, "²")] == [None] * 6


_text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20).map(
    lambda text: text.rstrip()
)
_token = st.text("abcXYZ019/-.", min_size=1, max_size=8)
_lines = st.lists(st.builds(Line, st.sampled_from("abikrz"), _text), max_size=5).map(tuple)
_media = st.builds(
    MediaDescription,
    media=_token,
    port=st.integers(0, 65535),
    protocol=_token,
    formats=st.lists(_token, min_size=1, max_size=4).map(tuple),
    lines=_lines,
    port_count=st.none() | st.integers(0, 65535),
)


@given(_lines, st.lists(_media, max_size=4).map(tuple))
def test_parse_is_the_inverse_of_serialize(
    lines: tuple[Line, ...], media: tuple[MediaDescription, ...]
) -> None:
    """Any description comes back from its bytes unchanged."""
    sdp = SessionDescription((Line("v", "0"), *lines), media)
    assert parse_description(sdp.serialize()) == sdp


_fragments = st.sampled_from(
    [
        b"v=0\r\n",
        b"m=audio 4 RTP/AVP 0\r\n",
        b"c=IN IP4 1.2.3.4\n",
        b"a=rtpmap:",
        b"=",
        b"m=",
        b"\r",
    ]
)


@given(st.lists(_fragments | st.binary(max_size=30), max_size=12).map(b"".join))
def test_any_bytes_give_a_value_or_the_documented_error(data: bytes) -> None:
    """Nothing but RemoteSipError is raised, and what was read survives a round trip."""
    try:
        sdp = parse_description(data)
    except RemoteSipError:
        return
    assert parse_description(sdp.serialize()) == sdp
