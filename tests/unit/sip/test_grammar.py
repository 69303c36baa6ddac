"""The lexical rules under all SIP parsers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sip import grammar


@given(st.binary())
def test_any_bytes_round_trip(data: bytes) -> None:
    """Decoding and encoding gives every byte back, UTF-8 or not."""
    assert grammar.encode(grammar.decode(data)) == data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"plain", "plain"),
        ("Zoë 陳".encode(), "Zoë 陳"),
        (b"J\xe9r\xf4me", "Jérôme"),
        (b"\xff\x80", "ÿ\x80"),
    ],
)
def test_readable(data: bytes, expected: str) -> None:
    """Bytes that are not UTF-8 are read as latin-1, so that they can be stored."""
    text = grammar.readable(grammar.decode(data))
    assert text == expected
    text.encode()


def test_text_that_no_wire_carries() -> None:
    """A lone surrogate of our own making is our mistake, not the peer's."""
    with pytest.raises(ContractViolation):
        grammar.encode("\ud800")


@pytest.mark.parametrize(
    ("text", "separator", "expected"),
    [
        ("", ",", [""]),
        ("a,b", ",", ["a", "b"]),
        ('"a,b" <sip:x,y>, c', ",", ['"a,b" <sip:x,y>', " c"]),
        (r'"a\",b",c', ",", [r'"a\",b"', "c"]),
        ('a="x;y";b', ";", ['a="x;y"', "b"]),
        ('"",""', ",", ['""', '""']),
        ("<>,<>", ",", ["<>", "<>"]),
        ('<sip:a;b="c>,d', ",", ['<sip:a;b="c>', "d"]),
    ],
)
def test_split(text: str, separator: str, expected: list[str]) -> None:
    """Separators inside quotes and brackets do not separate."""
    assert grammar.split_outside_quotes(text, separator) == expected


@pytest.mark.parametrize("text", ['"a', '"', '"a\\"', "<a", "<", 'a,"b', 'x<"'])
def test_split_unclosed(text: str) -> None:
    """What is never closed is refused, not guessed."""
    with pytest.raises(RemoteSipError):
        grammar.split_outside_quotes(text, ",")


@given(st.text())
def test_quote_is_undone(text: str) -> None:
    """Quoting and unquoting gives the text back, and the quoted form is one string."""
    quoted = grammar.quote(text)
    assert grammar.quoted_string_end(quoted, 0) == len(quoted)
    assert grammar.unquote(quoted) == text


@pytest.mark.parametrize(
    ("text", "maximum", "clamp", "expected"),
    [
        ("0", 9, False, 0),
        (" 070\t", 255, False, 70),
        ("0" * 5000 + "7", 9, False, 7),
        ("300", 255, True, 255),
        ("9" * 5000, 2**31, True, 2**31),
    ],
)
def test_numbers(text: str, maximum: int, clamp: bool, expected: int) -> None:
    """Blanks and leading zeros are fine; too large is the maximum where that is asked for."""
    assert grammar.parse_number(text, "it", maximum=maximum, clamp=clamp) == expected


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", "²", "٣", "1.0", "0x1", "256", "9" * 9999])
def test_not_numbers(text: str) -> None:
    """Only ASCII digits make a number, and only one within range."""
    with pytest.raises(RemoteSipError) as refusal:
        grammar.parse_number(text, "it", maximum=255)
    assert refusal.value.status_hint == 400


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.com", "example.com", None),
        ("my_pbx : 5062", "my_pbx", 5062),
        ("192.0.2.1:0", "192.0.2.1", 0),
        ("[2001:db8::1]", "[2001:db8::1]", None),
        ("[fe80::1%eth0] :5060", "[fe80::1%eth0]", 5060),
    ],
)
def test_host_port(text: str, host: str, port: int | None) -> None:
    """Names, addresses and IPv6 references, with and without port."""
    assert grammar.parse_host_port(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":5060", "a:", "a:65536", "a:b", "a b", "[::1", "[::1]x", "[]", "[zz]", "a@b", "<a>"],
)
def test_bad_host_port(text: str) -> None:
    """Everything else is refused."""
    with pytest.raises(RemoteSipError):
        grammar.parse_host_port(text)


def test_bare_host() -> None:
    """Sockets want an IPv6 address without brackets."""
    assert grammar.bare_host("[::1]") == "::1"
    assert grammar.bare_host("example.com") == "example.com"
