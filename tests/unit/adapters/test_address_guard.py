"""Which addresses our own requests may reach, by table and by property."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.adapters.address_guard import (
    AddressGuard,
    TargetRefused,
    read_target,
    with_host_of,
)

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fec0::1",
    "ff02::1",
]
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:810::200e",
]


@pytest.mark.parametrize("address", REFUSED)
def test_refused_addresses(address: str) -> None:
    """Nothing private, special, or with another address inside is reached by default."""
    guard = AddressGuard()
    assert not guard.allows_text(address)
    with pytest.raises(TargetRefused):
        guard.require(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ALLOWED)
def test_allowed_addresses(address: str) -> None:
    """Public addresses are reached, up to the edges of the refused networks."""
    AddressGuard().require(ipaddress.ip_address(address))


def test_allow_private_opens_these_networks_only() -> None:
    """An operator's network is opened exactly; other forms of it stay closed."""
    guard = AddressGuard([ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd12::/16")])
    assert guard.allows_text("10.1.2.3")
    assert guard.allows_text("fd12::9")
    for other in ("10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3", "fd13::9", "64:ff9b::a01:203"):
        assert not guard.allows_text(other)


@given(st.ip_addresses(v=4))
def test_an_address_hidden_in_ipv6_is_refused(address: ipaddress.IPv4Address) -> None:
    """Whatever IPv4 address is mapped, translated or tunnelled: it is never reached."""
    value = int(address)
    hidden = [
        ipaddress.IPv6Address((0xFFFF << 32) | value),
        ipaddress.IPv6Address(value),
        ipaddress.IPv6Address((0x64FF9B << 96) | value),
        ipaddress.IPv6Address((0x2002 << 112) | (value << 80) | 1),
        ipaddress.IPv6Address((0x20010000 << 96) | (value ^ 0xFFFFFFFF)),
    ]
    assert not any(AddressGuard().allows(one) for one in hidden)


def test_whatever_python_calls_private_is_refused() -> None:
    """Our own lists leave out nothing that the standard library knows."""
    guard = AddressGuard()
    for network in (
        *ipaddress.IPv4Address._constants._private_networks,  # type: ignore[attr-defined]
        *ipaddress.IPv6Address._constants._private_networks,  # type: ignore[attr-defined]
    ):
        for address in (network.network_address, network.broadcast_address):
            assert not guard.allows(address), address


def test_unreadable_addresses_are_refused() -> None:
    """What is no address is not allowed."""
    assert not AddressGuard().allows_text("localhost")


def test_the_last_gate() -> None:
    """No socket is opened for a refused address; an allowed one gets a non-blocking one."""
    guard = AddressGuard([ipaddress.ip_network("127.0.0.0/8")])
    with pytest.raises(TargetRefused):
        guard.guarded_socket(socket.AF_INET, socket.SOCK_STREAM, 0, ("10.0.0.1", 80))
    with guard.guarded_socket(socket.AF_INET, socket.SOCK_STREAM, 0, ("127.0.0.1", 80)) as opened:
        assert not opened.getblocking()


@pytest.mark.parametrize(
    ("url", "host", "port", "address"),
    [
        ("http://app.example/n", "app.example", 80, None),
        ("https://APP.Example./n?x=1", "app.example", 443, None),
        ("https://a.example:8443/", "a.example", 8443, None),
        ("http://8.8.8.8/", "8.8.8.8", 80, "8.8.8.8"),
        ("http://[2606:4700:0::1]:81/", "2606:4700::1", 81, "2606:4700::1"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, None),
        ("http://127.0.0.1/", "127.0.0.1", 80, "127.0.0.1"),
        ("http://1.2.3.4.example/", "1.2.3.4.example", 80, None),
        ("http://my_host/", "my_host", 80, None),
    ],
)
def test_targets(url: str, host: str, port: int, address: str | None) -> None:
    """Host, port and address of what can be used."""
    target = read_target(url)
    assert (target.host, target.port) == (host, port)
    assert str(target.address or "") == (address or "")
    assert target.is_tls == url.startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.example/n",
        "ftp://app.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:///n",
        "http://user:secret@app.example/",
        "http://@app.example/",
        "http://a.example:0/",
        "http://a.example:65536/",
        "http://a.example:25/",
        "http://a.example:6379x/",
        "http://a.example:5060/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.01/",
        "http://127.0.0.256/",
        "http://1.2.3.4.5/",
        "http://999/",
        "http://a.0x/",
        "http://a.example%2f@127.0.0.1/",
        "http://%31%32%37.0.0.1/",
        "http://a.example\\@127.0.0.1/",
        "http://a.example /",
        "http://a.exa\tmple/",
        "http://a.example\r\nHost: b/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://[127.0.0.1]/",
        "http://[v1.x]/",
        "http://a..example/",
        "http://-a.example/",
        "http://a.example/" + "x" * 20_000,
    ],
)
def test_refused_urls(url: str) -> None:
    """No other scheme, credentials, strange port or second spelling of a host."""
    with pytest.raises(TargetRefused):
        read_target(url)


@pytest.mark.parametrize("spelling", ["\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021"])
def test_spellings_that_mean_an_address_are_that_address(spelling: str) -> None:
    """Full-width digits and dots are folded before the guard looks."""
    try:
        target = read_target(f"http://{spelling}/")
    except TargetRefused:
        return
    assert str(target.address) == "127.0.0.1"


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{}", "{:#x}", "0{:o}", "1.{}"]))
def test_numbers_are_never_names(value: int, spelling: str) -> None:
    """A host in decimal, octal or hexadecimal is refused, whatever its value."""
    with pytest.raises(TargetRefused):
        read_target(f"http://{spelling.format(value)}/")


@given(st.one_of(st.text(), st.text().map("http://{}/".format), st.text("0123456789abx.:[]%@")))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the reader fail in another way, and what it reads it reads again."""
    for url in (text, f"https://{text}"):
        try:
            target = read_target(url)
        except TargetRefused:
            continue
        assert read_target(with_host_of(url, target)) == target


def test_host_is_written_as_it_was_read() -> None:
    """What is connected to is what was judged; path and query stay byte for byte."""
    url = "HTTPS://Bücher.example:443/a%2Fb?q=%2B+1#frag"
    exact = with_host_of(url, read_target(url))
    assert exact == "https://xn--bcher-kva.example/a%2Fb?q=%2B+1"
