"""Finding the SDP in a body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sip.peers import SDP
from voiceblocks.sip.bodies import UnsupportedBody, session_description
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import SipRequest


def with_body(body: bytes, *headers: tuple[str, str]) -> SipRequest:
    """An INVITE that holds this."""
    return SipRequest("INVITE", "sip:a@b", Headers(headers), body)


@pytest.mark.parametrize(
    ("body", "headers", "found"),
    [
        (b"", [], None),
        (b"\r\n", [], None),
        (SDP, [("Content-Type", "application/sdp")], SDP),
        (SDP, [("c", "APPLICATION / SDP;charset=utf-8")], SDP),
        (SDP, [], SDP),
        (SDP, [("Content-Type", "application/sdp"), ("Content-Encoding", "identity")], SDP),
        (
            b"<x/>",
            [("Content-Type", "text/xml"), ("Content-Disposition", "x;handling=optional")],
            None,
        ),
    ],
)
def test_what_is_found(body: bytes, headers: list[tuple[str, str]], found: bytes | None) -> None:
    """Plain, typed in any case, untyped, optional and absent bodies."""
    assert session_description(with_body(body, *headers)) == found


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"hello", []),
        (b"hello", [("Content-Type", "text/plain")]),
        (b"hello", [("Content-Type", "text/plain"), ("Content-Disposition", "render")]),
        (SDP, [("Content-Type", "application/sdp"), ("Content-Encoding", "gzip")]),
        (b"--b\r\n\r\nx\r\n--b--", [("Content-Type", "multipart/mixed;boundary=b")]),
        (b"--b\r\n", [("Content-Type", "multipart/mixed")]),
        (b"--b\r\n", [("Content-Type", 'multipart/mixed;boundary="')]),
        (b"--b\r\nno blank line\r\n--b--", [("Content-Type", "multipart/mixed;boundary=b")]),
        (b"x", [("Content-Type", "text/plain"), ("Content-Disposition", 'x;handling="')]),
    ],
)
def test_what_is_refused(body: bytes, headers: list[tuple[str, str]]) -> None:
    """What we may not skip and cannot read is 415."""
    with pytest.raises(UnsupportedBody) as raised:
        session_description(with_body(body, *headers))
    assert raised.value.status_hint == 415


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_multipart_with_either_line_end(end: bytes) -> None:
    """Preamble, a foreign part, the SDP part, and an epilogue."""
    body = end.join(
        [
            b"preamble",
            b"--b",
            b"Content-Type: text/plain",
            b"",
            b"x",
            b"--b",
            b"Content-ID: <1>",
            b"content-type : application/sdp ; a=b",
            b"",
            SDP.rstrip(),
            b"--b--",
            b"epilogue",
        ]
    )
    found = session_description(with_body(body, ("Content-Type", "multipart/mixed; boundary=b")))
    assert found is not None
    assert found.rstrip() == SDP.rstrip()


@given(st.binary(max_size=300), st.text(alphabet='abmultipart/;="-', max_size=40))
def test_any_body_gives_bytes_none_or_415(body: bytes, content_type: str) -> None:
    """Nothing else ever comes out."""
    for value in (content_type, "multipart/mixed;boundary=b"):
        try:
            found = session_description(with_body(body, ("Content-Type", value)))
        except UnsupportedBody:
            continue
        assert found is None or isinstance(found, bytes)
