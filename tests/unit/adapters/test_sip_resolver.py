"""RFC 3263 against a real name server on loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.unit.adapters.dns_server import TTL_S, DnsServer
from voiceblocks.adapters import sip_resolver
from voiceblocks.adapters.sip_resolver import NameNotFound, SipResolver
from voiceblocks.errors import PeerError, RemoteSipError
from voiceblocks.sip.target import SipTarget

HOSTS = {
    ("one.example.", "A"): ["192.0.2.1"],
    ("two.example.", "A"): ["192.0.2.2", "192.0.2.3"],
    ("three.example.", "A"): ["192.0.2.4"],
}
SRV_UDP = ("_sip._udp.carrier.example.", "SRV")
SRV_TCP = ("_sip._tcp.carrier.example.", "SRV")
NAPTR = ("carrier.example.", "NAPTR")
ADDRESS = "sip:carrier.example"


class FakeClock:
    """Time as the test says."""

    now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def utc_us(self) -> int:
        """Not asked for."""
        raise AssertionError


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    """A name server that knows some hosts."""
    async with DnsServer(dict(HOSTS)) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    """Stands still."""
    return FakeClock()


@pytest.fixture
def resolver(server: DnsServer, clock: FakeClock) -> SipResolver:
    """Asks that server."""
    return SipResolver(clock, ["127.0.0.1"], server.port)


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("sip:192.0.2.9", SipTarget("192.0.2.9", 5060, "udp")),
        ("sip:192.0.2.9:5080;transport=TCP", SipTarget("192.0.2.9", 5080, "tcp")),
        ("sip:localhost", SipTarget("127.0.0.1", 5060, "udp")),
        ("sip:LocalHost:5070", SipTarget("127.0.0.1", 5070, "udp")),
    ],
)
async def test_addresses_are_not_looked_up(
    resolver: SipResolver, server: DnsServer, address: str, target: SipTarget
) -> None:
    """Whoever writes an address, or localhost, needs no DNS."""
    assert await resolver.resolve(address) == [target]
    assert not server.asked


async def test_a_port_asks_for_addresses_only(resolver: SipResolver, server: DnsServer) -> None:
    """RFC 3263 4.2: with a port there is neither NAPTR nor SRV."""
    # The name server gives the addresses of one name in any order.
    assert set(await resolver.resolve("sip:two.example:5080;transport=tcp")) == {
        SipTarget("192.0.2.2", 5080, "tcp"),
        SipTarget("192.0.2.3", 5080, "tcp"),
    }
    assert set(server.asked) == {("two.example.", "A")}


async def test_naptr_says_which_transports_and_services(
    resolver: SipResolver, server: DnsServer
) -> None:
    """In its order; services that we do not speak are passed over."""
    server.zone[NAPTR] = [
        '10 20 "s" "SIP+D2U" "" _sip._udp.srv.example.',
        '10 10 "s" "SIP+D2T" "" _sip._tcp.srv.example.',
        '5 5 "s" "SIPS+D2T" "" _sips._tcp.srv.example.',
        '5 6 "u" "E2U+sip" "!^.*$!sip:x@y!" .',
    ]
    server.zone["_sip._udp.srv.example.", "SRV"] = ["0 0 5061 one.example."]
    server.zone["_sip._tcp.srv.example.", "SRV"] = ["0 0 5062 three.example."]
    assert await resolver.resolve(ADDRESS) == [
        SipTarget("192.0.2.4", 5062, "tcp"),
        SipTarget("192.0.2.1", 5061, "udp"),
    ]


async def test_without_naptr_udp_comes_before_tcp(resolver: SipResolver, server: DnsServer) -> None:
    """SRV is asked for both transports."""
    server.zone[SRV_UDP] = ["0 0 5060 one.example."]
    server.zone[SRV_TCP] = ["0 0 5060 one.example."]
    assert await resolver.resolve(ADDRESS) == [
        SipTarget("192.0.2.1", 5060, "udp"),
        SipTarget("192.0.2.1", 5060, "tcp"),
    ]


async def test_a_transport_asks_for_its_service_only(
    resolver: SipResolver, server: DnsServer
) -> None:
    """`;transport=tcp` is not overruled by the DNS."""
    server.zone[SRV_UDP] = ["0 0 5060 one.example."]
    server.zone[SRV_TCP] = ["0 0 5070 one.example."]
    found = await resolver.resolve(f"{ADDRESS};transport=tcp")
    assert found == [SipTarget("192.0.2.1", 5070, "tcp")]
    assert set(server.asked) == {SRV_TCP, ("one.example.", "A")}


async def test_priorities_are_an_order_for_failover(
    resolver: SipResolver, server: DnsServer
) -> None:
    """The lowest first, whatever the weights; a host without address is left out."""
    server.zone[SRV_UDP] = [
        "30 0 5060 nowhere.example.",
        "20 100 5060 three.example.",
        "10 1 5060 one.example.",
    ]
    assert [target.host for target in await resolver.resolve(ADDRESS)] == [
        "192.0.2.1",
        "192.0.2.4",
    ]


async def test_weights_spread_the_calls(resolver: SipResolver, server: DnsServer) -> None:
    """Each look chooses anew, also while the answer is kept: about 9 of 10 go to the heavy one."""
    server.zone[SRV_UDP] = ["10 90 5060 one.example.", "10 10 5060 two.example."]
    firsts: Counter[str] = Counter()
    for _ in range(1000):
        found = await resolver.resolve(ADDRESS)
        assert len(found) == 3
        firsts[found[0].host] += 1
    assert 850 < firsts["192.0.2.1"] < 950
    assert server.asked[SRV_UDP] == 1


async def test_without_services_the_name_itself_has_addresses(
    resolver: SipResolver, server: DnsServer
) -> None:
    """Also where SRV says that there is no such service."""
    server.zone["carrier.example.", "A"] = ["192.0.2.7"]
    server.zone[SRV_TCP] = ["0 0 0 ."]
    assert await resolver.resolve(ADDRESS) == [SipTarget("192.0.2.7", 5060, "udp")]


async def test_answers_are_kept_for_their_ttl(
    resolver: SipResolver, server: DnsServer, clock: FakeClock
) -> None:
    """Not asked again before, asked again after."""
    await resolver.resolve("sip:one.example:5060")
    clock.now += TTL_S - 1
    server.zone["one.example.", "A"] = ["192.0.2.99"]
    assert (await resolver.resolve("sip:one.example:5060"))[0].host == "192.0.2.1"
    clock.now += 2
    assert (await resolver.resolve("sip:one.example:5060"))[0].host == "192.0.2.99"


@pytest.mark.parametrize(
    ("ttl_s", "kept_s"), [(0, sip_resolver.SHORTEST_S), (10**6, sip_resolver.LONGEST_S)]
)
async def test_ttls_are_kept_within_bounds(
    resolver: SipResolver, server: DnsServer, clock: FakeClock, ttl_s: int, kept_s: float
) -> None:
    """A TTL of 0 does not mean a query for each call, one of days does not outlive a move."""
    server.ttl_s = ttl_s
    await resolver.resolve("sip:one.example:5060")
    clock.now += kept_s - 0.1
    await resolver.resolve("sip:one.example:5060")
    assert server.asked["one.example.", "A"] == 1
    clock.now += 0.2
    await resolver.resolve("sip:one.example:5060")
    assert server.asked["one.example.", "A"] == 2


async def test_a_name_without_address(
    resolver: SipResolver, server: DnsServer, clock: FakeClock
) -> None:
    """It is an error of the peer's, kept for a moment only."""
    with pytest.raises(NameNotFound, match=r"carrier\.example"):
        await resolver.resolve(ADDRESS)
    asked = server.asked.total()
    with pytest.raises(PeerError):
        await resolver.resolve(ADDRESS)
    assert server.asked.total() == asked
    server.zone["carrier.example.", "A"] = ["192.0.2.7"]
    clock.now += sip_resolver.FAILURE_S
    assert (await resolver.resolve(ADDRESS))[0].host == "192.0.2.7"


async def test_a_name_server_that_fails_takes_no_carrier_away(
    resolver: SipResolver, server: DnsServer, clock: FakeClock
) -> None:
    """What was known stays good for a day, but a name that is gone is gone."""
    await resolver.resolve("sip:one.example:5060")
    server.fails = True
    clock.now += sip_resolver.LONGEST_S
    assert await resolver.resolve("sip:one.example:5060") == [SipTarget("192.0.2.1", 5060, "udp")]
    clock.now += sip_resolver.STALE_S
    with pytest.raises(NameNotFound):
        await resolver.resolve("sip:one.example:5060")
    server.fails = False
    clock.now += sip_resolver.FAILURE_S
    await resolver.resolve("sip:one.example:5060")
    del server.zone["one.example.", "A"]
    clock.now += sip_resolver.LONGEST_S
    with pytest.raises(NameNotFound):
        await resolver.resolve("sip:one.example:5060")


async def test_a_server_that_is_silent_about_services(
    resolver: SipResolver, server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Firewalls drop queries for NAPTR: the rest is asked all the same."""
    monkeypatch.setattr(sip_resolver, "QUERY_LIMIT_S", 0.2)
    server.silent_about = {"NAPTR"}
    server.zone[SRV_UDP] = ["0 0 5060 one.example."]
    assert await resolver.resolve(ADDRESS) == [SipTarget("192.0.2.1", 5060, "udp")]


async def test_silence_has_an_end(
    resolver: SipResolver, server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead name server fails a call within the limit."""
    monkeypatch.setattr(sip_resolver, "TOTAL_LIMIT_S", 0.3)
    server.silent_about = {"NAPTR", "SRV", "A"}
    async with asyncio.timeout(1.5):
        with pytest.raises(NameNotFound):
            await resolver.resolve(ADDRESS)


async def test_many_calls_wait_for_one_lookup(resolver: SipResolver, server: DnsServer) -> None:
    """And one of them that gives up takes nothing from the others."""
    waiting = [asyncio.ensure_future(resolver.resolve("sip:one.example:5060")) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    found = await asyncio.gather(*waiting[1:])
    assert all(targets == [SipTarget("192.0.2.1", 5060, "udp")] for targets in found)
    assert server.asked["one.example.", "A"] == 1


async def test_memory_is_bounded(
    resolver: SipResolver, server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that come by are forgotten again, the oldest first."""
    monkeypatch.setattr(sip_resolver, "MAX_KEPT", 2)
    for port in (1, 2, 3):
        await resolver.resolve(f"sip:one.example:{port}")
    await resolver.resolve("sip:one.example:3")
    assert server.asked["one.example.", "A"] == 3
    await resolver.resolve("sip:one.example:1")
    assert server.asked["one.example.", "A"] == 4


async def test_what_is_no_uri(resolver: SipResolver) -> None:
    """The command line lets no such address through."""
    with pytest.raises(RemoteSipError):
        await resolver.resolve("carrier.example")
