"""Via and the noting of a request's source."""

from __future__ import annotations

import pytest

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.via import Via, stamp_source


def test_reading() -> None:
    """Blanks may stand around every part; what is odd stays."""
    via = Via.parse("sip / 2.0\t/ udp  my_pbx : 5062 ; branch = z9hG4bK+a%2B ;rport;x+y")
    assert (via.transport, via.host, via.port) == ("UDP", "my_pbx", 5062)
    assert via.branch == "z9hG4bK+a%2B"
    assert str(via) == "SIP/2.0/UDP my_pbx:5062;branch=z9hG4bK+a%2B;rport;x+y"
    assert Via.parse(str(via)) == via


def test_absent_parts() -> None:
    """RFC 2543 peers send neither branch nor rport; another version is kept."""
    via = Via.parse("SIP/7.0/TLS [2001:db8::1]")
    assert (via.branch, via.received, via.rport) == ("", None, None)
    assert via.address == "2001:db8::1"
    assert str(via) == "SIP/7.0/TLS [2001:db8::1]"


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("rport", None),
        ("rport=", None),
        ("rport=5060", 5060),
        ("rport=x", None),
        ("rport=99999", None),
    ],
)
def test_rport(text: str, port: int | None) -> None:
    """An rport that is no port counts as absent: it only says where to send."""
    assert Via.parse(f"SIP/2.0/UDP a;{text};received=[::1]").rport == port


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("SIP/2.0/UDP 10.0.0.1:5060;branch=x", "SIP/2.0/UDP 10.0.0.1:5060;branch=x"),
        ("SIP / 2.0/UDP  h ; branch=x+1", "SIP / 2.0/UDP  h ; branch=x+1;received=10.0.0.1"),
        ("SIP/2.0/UDP 10.0.0.1;rport;a=b", "SIP/2.0/UDP 10.0.0.1;rport=7;a=b;received=10.0.0.1"),
        ("SIP/2.0/UDP h;received=6.6.6.6;rport=1", "SIP/2.0/UDP h;rport=7;received=10.0.0.1"),
        ("SIP/2.0/UDP 10.0.0.1;received=6.6.6.6", "SIP/2.0/UDP 10.0.0.1"),
        ('SIP/2.0/UDP h;x="a;rport"', 'SIP/2.0/UDP h;x="a;rport";received=10.0.0.1'),
    ],
)
def test_stamping(raw: str, expected: str) -> None:
    """The source is noted by RFC 3581 without touching another byte; a forged one goes."""
    assert stamp_source(raw, "10.0.0.1", 7) == expected
    parsed = Via.parse(raw).with_received("10.0.0.1", 7)
    assert Via.parse(expected).parameters.get("received") == parsed.parameters.get("received")
    assert Via.parse(expected).rport == parsed.rport


def test_ipv6_source() -> None:
    """`received` holds an IPv6 address without brackets (RFC 5118), and is read with either."""
    stamped = stamp_source("SIP/2.0/UDP [2001:db8::1];rport", "2001:db8::2", 7)
    assert stamped.endswith(";received=2001:db8::2")
    assert Via.parse(stamped).received == "2001:db8::2"
    same = "SIP/2.0/TCP [2001:db8::1]"
    assert stamp_source(same, "2001:db8::1", 7) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UDP host",
        "SIP/2.0/UDP",
        "SIP/2.0/ host",
        "HTTP/2.0/UDP host",
        "SIP//UDP host",
        "SIP/2.0/U@P host",
        "SIP/2.0/UDP host:x",
        "SIP/2.0/UDP ;branch=x",
        'SIP/2.0/UDP host;x="',
    ],
)
def test_refused(text: str) -> None:
    """Without protocol, transport or host there is no way back: 400."""
    with pytest.raises(RemoteSipError) as refusal:
        Via.parse(text)
    assert refusal.value.status_hint == 400
