"""From, To, Contact and Route values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.grammar import decode
from voiceblocks.sip.parameters import Parameters


@pytest.mark.parametrize(
    ("text", "display_name", "uri", "parameters"),
    [
        ("sip:a@b;tag=1", "", "sip:a@b", ";tag=1"),
        ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", ";tag=1"),
        ('"A, \\"B\\"" <sip:a@b> ; tag = 1', 'A, "B"', "sip:a@b", ";tag=1"),
        ('"<x>"<sip:a@b>', "<x>", "sip:a@b", ""),
        ("Alice Smith<sip:a@b>", "Alice Smith", "sip:a@b", ""),
        ("tel:+65-3158-0000;tag=9", "", "tel:+65-3158-0000", ";tag=9"),
        ("<tel:7042;phone-context=x>;tag=9", "", "tel:7042;phone-context=x", ";tag=9"),
        ("< sip:*21#@my_pbx >", "", "sip:*21#@my_pbx", ""),
        ("sip:a+b@c;tag=x+y", "", "sip:a+b@c", ";tag=x+y"),
        ("*", "", "*", ""),
    ],
)
def test_reading(text: str, display_name: str, uri: str, parameters: str) -> None:
    """All the forms that peers use, and each means the same when written and read again."""
    address = NameAddr.parse(text)
    assert (address.display_name, address.uri) == (display_name, uri)
    assert str(address.parameters) == parameters
    assert NameAddr.parse(str(address)) == address


def test_latin1_name() -> None:
    """A latin-1 name is readable, and its bytes stay what they were."""
    address = NameAddr.parse(decode(b'"J\xe9r\xf4me" <sip:a@b>'))
    assert address.readable_name == "Jérôme"
    assert str(address).encode("utf-8", "surrogateescape") == b'"J\xe9r\xf4me" <sip:a@b>'


def test_many() -> None:
    """A comma list is split only between addresses."""
    addresses = NameAddr.parse_many('"a,b" <sip:x,y@z>;q=1, <sip:c>,, sip:d;lr')
    assert [address.uri for address in addresses] == ["sip:x,y@z", "sip:c", "sip:d"]
    assert NameAddr.parse_many("") == []


def test_tag() -> None:
    """The tag is set in its place; the URI is parsed on demand."""
    address = NameAddr.parse("<sip:a@b>;tag=1;x")
    assert address.tag == "1"
    assert str(address.with_tag("2")) == "<sip:a@b>;tag=2;x"
    assert NameAddr("", "sip:a@b").with_tag("t").tag == "t"
    assert address.sip_uri.user == "a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "<>",
        "<alice@example.com>",
        "<sip:a@b",
        "<sip:a@b> x",
        '"a <sip:a@b>',
        '"a" sip:a@b',
        'a "b" <sip:a@b>',
        "sip:a@b?Route=x",
        "sip:a@b;=x",
    ],
)
def test_refused(text: str) -> None:
    """What has no clear meaning is a 400."""
    with pytest.raises(RemoteSipError) as refusal:
        NameAddr.parse(text)
    assert refusal.value.status_hint == 400


@given(st.text(st.characters(exclude_characters="\r\n")), st.sampled_from(["sip:a@b", "tel:+1"]))
def test_any_name_survives(display_name: str, uri: str) -> None:
    """Names with quotes, backslashes and brackets are written so that they can be read."""
    address = NameAddr(display_name, uri, Parameters.of([("tag", "x")]))
    assert NameAddr.parse(str(address)) == address
