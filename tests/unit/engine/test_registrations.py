"""Registrations follow the trunks: made, changed, given up, against a registrar on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.unit.trunks.nouns import a_route, a_trunk
from voiceblocks.engine import registrations
from voiceblocks.engine.registrations import Registrations
from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.engine.trunk_addresses import TrunkAddresses
from voiceblocks.errors import PeerError
from voiceblocks.ids import TrunkId
from voiceblocks.sip.events import Event, RegistrationEvent
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.sip.target import SipTarget
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.digest_server import DigestServer
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.trunks.model import RegistrationState, Trunk, TrunkRoute

LIMIT_S = 10
NAME = "sip:carrier.example"


class FakeResolver:
    """Finds every name where the test says."""

    def __init__(self, *targets: SipTarget) -> None:
        self.targets = list(targets)

    async def resolve(self, address: str) -> list[SipTarget]:
        """The targets, or nothing."""
        if not self.targets:
            raise PeerError("no such name")
        return self.targets


def target_of(trunk: FakeTrunk, transport: str = "udp") -> SipTarget:
    """Where a fake trunk is."""
    host, _, port = trunk.address.partition(":")
    return SipTarget(host, int(port), transport)


def opened(trunk: Trunk) -> TrunkRoute:
    """The trunk with the password that the registrars want."""
    return a_route(
        trunk_id=trunk.id,
        name=trunk.name,
        address=trunk.address,
        username=trunk.username,
        password="secret",
    )


@asynccontextmanager
async def keeping(
    resolver: FakeResolver, open_route: Callable[[Trunk], TrunkRoute] = opened
) -> AsyncIterator[Registrations]:
    """Registrations over a SIP endpoint of their own; stopped at the end."""
    kept: list[Registrations] = []

    def on_event(event: Event) -> None:
        if isinstance(event, RegistrationEvent):
            kept[0].on_event(event)

    endpoint = SipEndpoint(
        host="127.0.0.1", port=0, clock=SystemClock(), guard=None, on_event=on_event
    )
    await endpoint.start()
    addresses = TrunkAddresses(resolver, SourceGuard([], 1, 1))
    kept.append(Registrations(endpoint, addresses, open_route, SystemClock(), "1"))
    kept[0].start()
    try:
        async with asyncio.timeout(LIMIT_S):
            yield kept[0]
    finally:
        await kept[0].stop()
        await endpoint.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that no event tells."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 (a state, which has no event)
            await asyncio.sleep(0.01)


WANTED = a_trunk(address=NAME, username="acme", register=True)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_registered_while_the_trunk_is_there(transport: str) -> None:
    """With digest, over both transports; removed with the trunk, so that no call comes any more."""
    async with FakeTrunk(digest=DigestServer("acme", "secret")) as carrier:
        resolver = FakeResolver(target_of(carrier, transport))
        async with keeping(resolver) as kept:
            kept.set_trunks([WANTED])
            binding = await carrier.registrar.registered(LIMIT_S)
            assert binding.aor == "sip:acme@carrier.example"
            assert binding.uri.user == "acme"
            await until(lambda: kept.states == {"carrier": RegistrationState.REGISTERED})
            (standing,) = kept.standing
            assert (standing.node, standing.trunk_id, standing.reason) == ("1", WANTED.id, "")
            assert standing.until_us is not None
            granted_s = (standing.until_us - standing.changed_us) / 1e6
            assert granted_s == carrier.registrar.newest.expires_s
            kept.set_trunks([])
            assert (await carrier.registrar.registered(LIMIT_S)).expires_s == 0
            assert kept.states == {}
        assert carrier.registrar.bindings == {}


async def test_unregistered_when_the_node_stops() -> None:
    """The carrier sends no calls to a node that is gone."""
    async with FakeTrunk() as carrier:
        async with keeping(FakeResolver(target_of(carrier))) as kept:
            kept.set_trunks([WANTED])
            await carrier.registrar.registered(LIMIT_S)
        assert carrier.registrar.bindings == {}


async def test_only_enabled_trunks_that_want_it() -> None:
    """Disabled ones and those that know us by address are left in peace."""
    async with FakeTrunk() as carrier, keeping(FakeResolver(target_of(carrier))) as kept:
        kept.set_trunks([replace(WANTED, disabled_us=1), a_trunk(id="trk_2", name="other")])
        assert kept.states == {}


async def test_a_changed_trunk_is_registered_anew() -> None:
    """First the old name is removed, then the new one is registered; what is unchanged stays."""
    async with FakeTrunk() as carrier, keeping(FakeResolver(target_of(carrier))) as kept:
        kept.set_trunks([WANTED])
        await carrier.registrar.registered(LIMIT_S)
        kept.set_trunks([WANTED])
        kept.set_trunks([replace(WANTED, username="other")])
        removed = await carrier.registrar.registered(LIMIT_S)
        made = await carrier.registrar.registered(LIMIT_S)
        assert (removed.aor, removed.expires_s) == ("sip:acme@carrier.example", 0)
        assert (made.aor, made.expires_s) == ("sip:other@carrier.example", 3600)


async def test_a_name_that_leads_nowhere_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A carrier whose DNS is broken for a while is found later."""
    monkeypatch.setattr(registrations, "NOT_FOUND_PAUSE_S", 0.05)
    resolver = FakeResolver()
    async with FakeTrunk() as carrier, keeping(resolver) as kept:
        kept.set_trunks([WANTED])
        await until(lambda: kept.states["carrier"] is RegistrationState.FAILED)
        resolver.targets = [target_of(carrier)]
        await carrier.registrar.registered(LIMIT_S)


async def test_the_next_server_where_the_first_refuses() -> None:
    """A registrar that is down is passed over."""
    async with FakeTrunk() as down, FakeTrunk() as up:
        down.registrar.refuses_with = 503
        async with keeping(FakeResolver(target_of(down), target_of(up))) as kept:
            kept.set_trunks([WANTED])
            await up.registrar.registered(LIMIT_S)
            assert down.registrar.statuses == [503]


async def test_a_wrong_password_is_a_state_that_can_be_seen() -> None:
    """The registration stands as failed."""
    digest = DigestServer("acme", "another")
    async with (
        FakeTrunk(digest=digest) as carrier,
        keeping(FakeResolver(target_of(carrier))) as kept,
    ):
        kept.set_trunks([WANTED])
        await until(lambda: kept.states["carrier"] is RegistrationState.FAILED)


async def test_a_password_that_cannot_be_opened_harms_no_other_trunk() -> None:
    """One trunk is given up, the other is registered."""

    def open_route(trunk: Trunk) -> TrunkRoute:
        if trunk.name == "sealed":
            raise ValueError("sealed with another key")
        return opened(trunk)

    async with (
        FakeTrunk() as carrier,
        keeping(FakeResolver(target_of(carrier)), open_route) as kept,
    ):
        kept.set_trunks([replace(WANTED, id=TrunkId("trk_0"), name="sealed"), WANTED])
        await carrier.registrar.registered(LIMIT_S)
        assert kept.states["sealed"] is RegistrationState.FAILED


async def test_a_silent_registrar_does_not_keep_the_node_from_stopping() -> None:
    """Stopping waits a moment, not for a transaction's end."""
    async with FakeTrunk() as carrier, keeping(FakeResolver(target_of(carrier))) as kept:
        kept.set_trunks([WANTED])
        await carrier.registrar.registered(LIMIT_S)
        carrier.registrar.refuses_with = 0
        began = SystemClock().monotonic()
        await kept.stop()
        assert SystemClock().monotonic() - began < 2 * registrations.LEAVE_LIMIT_S


async def test_a_registrar_that_our_socket_cannot_reach() -> None:
    """SIP on loopback reaches no carrier: the registration stands as failed at once."""
    async with keeping(FakeResolver(SipTarget("203.0.113.1", 5060))) as kept:
        kept.set_trunks([WANTED])
        await until(lambda: kept.states["carrier"] is RegistrationState.FAILED)
