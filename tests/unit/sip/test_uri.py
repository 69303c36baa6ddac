"""SIP and tel URIs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.uri import SipUri

EXACT = [
    "sip:example.com",
    "sip:alice@example.com",
    "sip:alice:secret@example.com:5070;transport=tcp?subject=x&priority=urgent",
    "sips:+6531580000@192.0.2.1;user=phone",
    "sip:*21#@my_pbx:5062;lr",
    "sip:a;b?c@example.com",
    "sip:user@[2001:db8::1]:5060;maddr=[::1]",
    "sip:@example.com",
    "sip:a:@example.com",
    "sip:cal%6Cer@host;%6C%72;n%61me=v%61lue",
    "tel:+65-3158-0000",
    "tel:7042;phone-context=example.com;ext=1",
]


@pytest.mark.parametrize("text", EXACT)
def test_exact_inverse(text: str) -> None:
    """What is written is what was read."""
    assert str(SipUri.parse(text)) == text


def test_fields() -> None:
    """Every part lands in its field."""
    uri = SipUri.parse("SIP:alice:secret@[2001:db8::1]:5070;Transport=TCP;lr?subject=x")
    assert uri.scheme == "sip"
    assert (uri.user, uri.password) == ("alice", "secret")
    assert (uri.host, uri.address, uri.port) == ("[2001:db8::1]", "2001:db8::1", 5070)
    assert uri.parameters.get("transport") == "TCP"
    assert "lr" in uri.parameters
    assert uri.headers == "subject=x"


def test_unescaped_user() -> None:
    """Escapes are resolved only on demand, and never fail."""
    assert SipUri.parse("sip:%2B65%zz@h").unescaped_user == "+65%zz"
    assert SipUri.parse("sip:%ff@h").unescaped_user == "\udcff"
    assert SipUri.parse("sip:h").unescaped_user == ""


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("alice@example.com", 400),
        ("5sip:x", 400),
        ("sip:", 400),
        ("sip:a@", 400),
        ("sip:a@b@c", 400),
        ("sip:a b@c", 400),
        ("<sip:a@b>", 400),
        ('sip:"a"@b', 400),
        ("sip:a@b:port", 400),
        ("sip:a@b\x00", 400),
        ("tel:", 400),
        ("tel:;ext=1", 400),
        ("http://example.com", 416),
        ("urn:service:sos", 416),
    ],
)
def test_refused(text: str, status: int) -> None:
    """Foreign schemes are 416, everything malformed is 400."""
    with pytest.raises(RemoteSipError) as refusal:
        SipUri.parse(text)
    assert refusal.value.status_hint == status


@given(st.text(alphabet="sipte:@;?=.[]%#_+a1 &<", max_size=40))
def test_parse_is_stable(text: str) -> None:
    """Whatever is accepted means the same when written and read again."""
    try:
        uri = SipUri.parse("sip:" + text)
    except RemoteSipError:
        return
    assert SipUri.parse(str(uri)) == uri
