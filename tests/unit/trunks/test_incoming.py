"""Whom a call is from and for, as its INVITE says it."""

from __future__ import annotations

import pytest

from voiceblocks.notifications.parameters import encode
from voiceblocks.sip.message import SipRequest, parse_message
from voiceblocks.trunks.incoming import CALLER_MAX, read_numbers

REPLACED = "\N{REPLACEMENT CHARACTER}"


def an_invite(*, to: bytes = b"+6531580000", caller: bytes = b"+6591234567") -> SipRequest:
    """An INVITE with these users."""
    message = parse_message(
        b"INVITE sip:" + to + b"@127.0.0.1 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKa\r\n"
        b"From: <sip:" + caller + b"@example.com>;tag=1\r\n"
        b"To: <sip:x@127.0.0.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    assert isinstance(message, SipRequest)
    return message


@pytest.mark.parametrize(
    ("user", "number"),
    [
        (b"+6531580000", "+6531580000"),
        (b"6531580000", "+6531580000"),
        (b"006531580000", "+6531580000"),
        (b"%2B6531580000", "+6531580000"),
        (b"+6531580000;npdi=yes;rn=+6530000000", "+6531580000"),
        (b"+65-3158-0000", "+6531580000"),
        (b"reception", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_called_number(user: bytes, number: str | None) -> None:
    """Escapes and what carriers append do not matter; a name is no number."""
    assert read_numbers(an_invite(to=user), None).called == number


@pytest.mark.parametrize(
    ("user", "caller"),
    [
        (b"+6591234567", "+6591234567"),
        (b"+6591234567;cpc=ordinary", "+6591234567"),
        (b"%2B6591234567", "+6591234567"),
        (b"Anonymous", "private"),
        (b"mei", "mei"),
        ("李".encode(), "李"),
        (b"\xff\xfe", REPLACED * 2),
        (b"%FFmei%00", f"{REPLACED}mei{REPLACED}"),
        (b"a%0d%0aX-Evil%3a1", f"a{REPLACED * 2}X-Evil:1"),
        (b"x" * 500, "x" * CALLER_MAX),
    ],
)
def test_the_caller(user: bytes, caller: str) -> None:
    """Whatever a stranger wrote can be printed, stored, and sent to an application."""
    found = read_numbers(an_invite(caller=user), None).caller
    assert found == caller
    assert found.isprintable()
    encode([("from", found)])
