"""Where trunks are, and whose call comes from where."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.trunks.nouns import a_route, a_trunk
from voiceblocks.engine.trunk_addresses import TrunkAddresses
from voiceblocks.errors import PeerError
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.sip.target import SipTarget


class FakeResolver:
    """Knows the names that the test says."""

    def __init__(self, **hosts: list[str]) -> None:
        self.hosts = {f"sip:{name}.example": found for name, found in hosts.items()}

    async def resolve(self, address: str) -> list[SipTarget]:
        """The addresses of a name."""
        if address not in self.hosts:
            raise PeerError("no such name")
        return [SipTarget(host, 5060) for host in self.hosts[address]]


@pytest.fixture
def guard() -> SourceGuard:
    """Knows loopback only."""
    return SourceGuard(["127.0.0.0/8"], 1000, 1000)


@pytest.fixture
def resolver() -> FakeResolver:
    """Knows one carrier."""
    return FakeResolver(carrier=["192.0.2.1", "192.0.2.2"])


@pytest.fixture
async def addresses(resolver: FakeResolver, guard: SourceGuard) -> AsyncIterator[TrunkAddresses]:
    """Without trunks so far."""
    made = TrunkAddresses(resolver, guard)
    yield made
    made.stop()


async def test_a_call_belongs_to_the_trunk_that_it_comes_from(addresses: TrunkAddresses) -> None:
    """By its networks, by the addresses of its name, and by a literal address at once."""
    named = a_trunk(id="trk_1", address="sip:carrier.example", sources=("198.51.100.0/24",))
    literal = a_trunk(id="trk_2", name="literal", address="sip:203.0.113.5:5080")
    addresses.set_trunks([named, literal])
    assert addresses.trunk_of("203.0.113.5") == literal
    assert addresses.trunk_of("198.51.100.77") == named
    await addresses.refresh()
    assert addresses.trunk_of("192.0.2.2") == named
    assert addresses.trunk_of("192.0.2.3") is None
    assert addresses.trunk_of("no address") is None
    assert addresses.trunk_of("2001:db8::1") is None


async def test_mapped_addresses_are_the_ipv4_ones(
    addresses: TrunkAddresses, guard: SourceGuard
) -> None:
    """A socket that takes both families tells IPv4 peers as `::ffff:a.b.c.d`."""
    literal = a_trunk(id="trk_1", address="sip:203.0.113.5", sources=("::ffff:198.51.100.0/120",))
    addresses.set_trunks([literal])
    for source in ("203.0.113.5", "198.51.100.77"):
        for written in (source, f"::ffff:{source}"):
            assert addresses.trunk_of(written) == literal
            assert guard.is_known(written)
    assert addresses.trunk_of("::ffff:203.0.113.6") is None
    assert not guard.is_known("::ffff:203.0.113.6")


async def test_the_narrowest_network_wins_then_the_oldest(addresses: TrunkAddresses) -> None:
    """Where trunks overlap, the answer does not depend on the order of the list."""
    wide = a_trunk(id="trk_1", name="wide", sources=("198.51.100.0/24",), created_us=1)
    new = a_trunk(id="trk_2", name="new", sources=("198.51.100.7",), created_us=3)
    old = a_trunk(id="trk_3", name="old", sources=("198.51.100.7",), created_us=2)
    addresses.set_trunks([wide, new, old])
    assert addresses.trunk_of("198.51.100.7") == old
    assert addresses.trunk_of("198.51.100.8") == wide


async def test_the_guard_lets_trunks_in_and_nobody_else(
    addresses: TrunkAddresses, guard: SourceGuard
) -> None:
    """A trunk that is added, disabled or removed is let in and shut out without a restart."""
    trunk = a_trunk(address="sip:carrier.example", sources=("198.51.100.0/24",))
    assert not guard.is_known("192.0.2.1")
    addresses.set_trunks([trunk])
    await addresses.refresh()
    assert all(guard.is_known(host) for host in ("127.0.0.1", "192.0.2.1", "198.51.100.1"))
    assert not guard.is_known("192.0.2.77")
    addresses.set_trunks([a_trunk(address="sip:carrier.example", disabled_us=1)])
    assert guard.is_known("127.0.0.1")
    assert not guard.is_known("192.0.2.1")
    assert addresses.trunks == ()


async def test_a_carrier_that_moves_is_found_again(
    addresses: TrunkAddresses, resolver: FakeResolver
) -> None:
    """New addresses replace the old ones; a look-up that fails takes none away."""
    trunk = a_trunk(address="sip:carrier.example")
    addresses.set_trunks([trunk])
    await addresses.refresh()
    resolver.hosts["sip:carrier.example"] = ["192.0.2.9"]
    await addresses.refresh()
    assert addresses.trunk_of("192.0.2.1") is None
    resolver.hosts.clear()
    await addresses.refresh()
    assert addresses.trunk_of("192.0.2.9") == trunk


async def test_a_lookup_that_fails_keeps_no_other_trunk_out(addresses: TrunkAddresses) -> None:
    """Each trunk stands for itself."""
    trunk = a_trunk(id="trk_2", name="known", address="sip:carrier.example")
    addresses.set_trunks([a_trunk(address="sip:unknown.example"), trunk])
    await addresses.refresh()
    assert addresses.trunk_of("192.0.2.1") == trunk


async def test_the_targets_of_a_call(addresses: TrunkAddresses) -> None:
    """In the resolver's order; a name that leads nowhere says so."""
    route = a_route(address="sip:carrier.example")
    assert [target.host for target in await addresses.targets(route)] == ["192.0.2.1", "192.0.2.2"]
    with pytest.raises(PeerError):
        await addresses.targets(a_route(address="sip:unknown.example"))
