"""The ordered multi-map of headers."""

from __future__ import annotations

import pytest

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sip.headers import COMPACT_FORMS, Headers


def test_names() -> None:
    """Headers are found in any case and form, and keep the spelling they came with."""
    headers = Headers([("v", "1"), ("FROM", "2"), ("Via", "3")])
    assert headers.get("VIA") == "1"
    assert headers.get("f") == "2"
    assert headers.get("To") is None
    assert headers.get_all("via") == ["1", "3"]
    assert "V" in headers
    assert "t" not in headers
    assert 1 not in headers
    assert list(headers) == [("v", "1"), ("FROM", "2"), ("Via", "3")]
    assert headers.lines("Via") == [("v", "1"), ("Via", "3")]


def test_every_compact_form() -> None:
    """Each compact name stands for its long one."""
    for short, long in COMPACT_FORMS.items():
        assert Headers([(short.upper(), "x")]).get(long) == "x"
    assert len(COMPACT_FORMS) == 20


def test_values() -> None:
    """Comma lists over several lines are one list; quotes and brackets protect commas."""
    headers = Headers([("Supported", " timer , 100rel,"), ("k", "path"), ("m", '"a,b" <sip:c,d>')])
    assert headers.values("supported") == ["timer", "100rel", "path"]
    assert headers.values("Contact") == ['"a,b" <sip:c,d>']
    assert headers.values("none") == []
    with pytest.raises(RemoteSipError):
        Headers([("Contact", '"a')]).values("Contact")


def test_changing() -> None:
    """Adding, putting before, replacing and removing keep the order of all others."""
    headers = Headers([("A-A", "1"), ("Via", "2"), ("B-B", "3"), ("v", "4")])
    headers.prepend("Via", "0")
    headers.prepend("Route", "r")
    headers.add("C-C", "5")
    assert [value for _, value in headers] == ["r", "1", "0", "2", "3", "4", "5"]
    headers.replace_first("v", "00")
    assert headers.lines("Via") == [("Via", "00"), ("Via", "2"), ("v", "4")]
    headers.set("via", "only")
    assert headers.lines("Via") == [("Via", "only")]
    assert [value for _, value in headers] == ["r", "1", "only", "3", "5"]
    headers.set("New", "n")
    headers.replace_first("Newer", "m")
    headers.remove("A-A")
    headers.remove("absent")
    headers.extend([("z", "1"), ("z", "2")])
    assert [value for _, value in headers] == ["r", "only", "3", "5", "n", "m", "1", "2"]
    assert len(headers) == 8


def test_copies_and_equality() -> None:
    """A copy is independent; equality looks at meaning of names, values and order."""
    headers = Headers([("v", "1"), ("To", "2")])
    duplicate = headers.copy()
    assert duplicate == headers == Headers([("Via", "1"), ("to", "2")])
    duplicate.add("x", "3")
    assert duplicate != headers
    assert headers != Headers([("To", "2"), ("v", "1")])
    assert headers != [("v", "1")]
    assert repr(headers) == "Headers([('v', '1'), ('To', '2')])"


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nEvil: 1"), ("X", "a\nb"), ("X", "a\rb"), ("X Y", "a"), ("", "a"), ("X:", "a")],
)
def test_no_injection(name: str, value: str) -> None:
    """Whatever an application passes, it cannot start a header of its own."""
    with pytest.raises(ContractViolation):
        Headers().add(name, value)
    with pytest.raises(ContractViolation):
        Headers().set(name, value)
    with pytest.raises(ContractViolation):
        Headers().prepend(name, value)
