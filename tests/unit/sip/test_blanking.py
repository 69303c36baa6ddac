"""Secrets of SIP messages are overwritten, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.sip.blanking import blank_secrets
from voiceblocks.sip.dtmf_info import read_digit
from voiceblocks.sip.message import SipRequest, parse_message

SECRET = "5ecr3t-5ecr3t"

_names = st.sampled_from(
    ["Authorization", "Proxy-Authorization", "Authentication-Info", "Proxy-Authentication-Info"]
)
_cases = st.sampled_from([str.lower, str.upper, str.title, str])
_blanks = st.sampled_from(["", " ", "\t", "  "])
_folds = st.sampled_from(["", "\r\n ", "\r\n\t", "\n  "])
_schemes = st.sampled_from(["Digest ", "digest  ", "Basic ", "BEARER ", "Odd", ""])
_digits = st.text("0123456789*#ABCD", min_size=1, max_size=6)
_bodies = st.one_of(
    st.tuples(st.just("application/dtmf-relay"), _digits.map(lambda d: f"Signal={d}\r\n")),
    st.tuples(st.just("application/dtmf"), _digits),
    st.tuples(st.just("text/plain"), st.text(max_size=40)),
    st.tuples(st.just("application/sdp"), st.just("v=0\r\nc=IN IP4 192.0.2.1\r\n")),
    st.tuples(st.none(), st.text(max_size=40)),
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, str | None, bytes]:
    """A request that holds the secret in one or another way; with its body's type and body."""
    name = draw(_cases)(draw(_names))
    value = f'{draw(_schemes)}username="a",{draw(_folds)} response="{SECRET}"'
    kind, text = draw(_bodies)
    body = text.encode()
    lines = [
        f"INFO sip:1;postd={SECRET}@host SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa",
        f"From: <sip:a:{SECRET}@host>;tag=1",
        "To: <sip:b@host>;tag=2",
        "Call-ID: x@host",
        f"{name}{draw(_blanks)}:{draw(_blanks)}{value}",
        "CSeq: 1 INFO",
        f"Refer-To: <sip:c@host?Authorization={SECRET}&x=1>",
    ]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body, kind, body


@given(messages())
def test_no_secret_and_no_digit_is_left(made: tuple[bytes, str | None, bytes]) -> None:
    """However headers are written: the length and all that is no secret stay as they were."""
    data, kind, body = made
    blanked = blank_secrets(data)
    assert len(blanked) == len(data)
    assert SECRET.encode() not in blanked
    before, after = parse_message(data), parse_message(blanked)
    assert isinstance(after, SipRequest)
    for name in ("Via", "To", "Call-ID", "CSeq", "Content-Type", "Content-Length"):
        assert after.headers.get_all(name) == before.headers.get_all(name)
    assert read_digit(kind or "", after.body) is None
    if kind == "application/sdp":
        assert after.body == body
    else:
        assert set(after.body) <= set(b"x\r\n\t ")


@given(st.binary(max_size=600))
def test_any_bytes_are_fine(data: bytes) -> None:
    """Nothing is raised, the length stays, and what was blanked once is not changed again."""
    blanked = blank_secrets(data)
    assert len(blanked) == len(data)
    assert blank_secrets(blanked) == blanked


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0", "a=crypto:x xxx"),
        ("k=clear:c2VjcmV0", "k=xxxxx"),
    ],
)
def test_keys_of_srtp_are_no_ones_business(text: str, left: str) -> None:
    """SDP is kept, the keys in it are not."""
    head = b"INVITE sip:a@b SIP/2.0\r\nc: application/sdp\r\n\r\nv=0\r\n"
    blanked = blank_secrets(head + text.encode() + b"\r\nm=audio 9 RTP/AVP 0\r\n")
    assert b"c2VjcmV0" not in blanked
    assert left.encode() in blanked
    assert blanked.endswith(b"\r\nm=audio 9 RTP/AVP 0\r\n")


@pytest.mark.parametrize(
    "piece", [b"sip:", b"@", b"sip:a@", b"Authorization: ", b"\r\n ", b";postd="]
)
def test_hostile_repetition_costs_linear_time(piece: bytes) -> None:
    """A longest message of nothing but beginnings is done at once (the limit of the test)."""
    data = (piece * 8192)[:8192]
    for _ in range(50):
        assert len(blank_secrets(data)) == len(data)
