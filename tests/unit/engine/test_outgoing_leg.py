"""A leg that we place, over trunks that are only words: which INVITE is sent after which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.engine import outgoing_leg
from voiceblocks.engine.call_leg import LegState
from voiceblocks.engine.outgoing_leg import OutgoingLeg
from voiceblocks.engine.plan import OutgoingLegPlan
from voiceblocks.engine.runners.interfaces import CallGone
from voiceblocks.errors import PeerError, RemoteSipError
from voiceblocks.ids import TrunkId
from voiceblocks.sip.events import Answered, CallFailed, Progress
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.target import SipTarget
from voiceblocks.trunks.model import TrunkRoute

SDP = b"v=0"
UNREACHABLE = "203.0.113.1"
RESPONSE: Any = None


class FakeMedia:
    """Agrees to every answer but the one that says so."""

    def __init__(self) -> None:
        self.has_early_media = False
        self.is_open = False
        self.on_lost: Callable[[], None]
        self.on_silent: Callable[[float], None]

    async def open(self) -> bytes:
        self.is_open = True
        return SDP

    def accept_early(self, _sdp: bytes) -> None:
        self.has_early_media = True

    def accept_answer(self, sdp: bytes) -> None:
        if sdp != SDP:
            raise RemoteSipError("not what we offered", 488)

    async def close(self) -> None:
        self.is_open = False


class FakeCore:
    """The SIP core and its endpoint in one: notes what it is asked for."""

    event_at = 1.0
    "See `SipEndpoint`."

    def __init__(self) -> None:
        self.invites: list[tuple[str, str]] = []
        "Address and Request-URI of each."
        self.hung_up: list[int] = []
        self.says_trying = False

    def run(self, command: Callable[[Any, float], Any]) -> Any:
        return command(self, 0.0)

    def try_run(self, command: Callable[[Any, float], Any]) -> bool:
        command(self, 0.0)
        return True

    def flow_to(self, host: str, port: int, transport: str) -> Flow:
        return Flow(transport, ("127.0.0.1", 5060), (host, port))

    def call(self, *, target: str, flow: Flow, **_more: Any) -> int:
        self.invites.append((flow.remote[0], target))
        return len(self.invites)

    def hang_up(self, leg: int, _now: float) -> None:
        self.hung_up.append(leg)

    def call_id(self, leg: int) -> str:
        return f"call {leg}"

    def was_heard(self, _leg: int) -> bool:
        return self.says_trying

    def snapshot(self, _leg: int) -> str:
        return "{}"


class FakeTargets:
    """Addresses of trunks by their names; no entry: not found."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def targets(self, route: TrunkRoute) -> list[SipTarget]:
        if route.name not in self._addresses:
            raise PeerError("no such name")
        return [SipTarget(host, 5060) for host in self._addresses[route.name]]


class FakeParts:
    """What a leg needs of the engine."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self.endpoint = self.core = FakeCore()
        self.targets = FakeTargets(**addresses)
        self.legs: dict[int, OutgoingLeg] = {}
        self.clock = self
        self.opened: list[FakeMedia] = []
        self.sip_log = self
        self.belonging: list[tuple[str, str, str]] = []
        "What was said to belong to which call."

    def belongs(self, call_id: str, session_id: str, leg_id: str) -> None:
        self.belonging.append((call_id, session_id, leg_id))

    def monotonic(self) -> float:
        return 1.0

    def utc_us(self) -> int:
        return 1_000_000

    def reaches(self, remote: str) -> bool:
        return remote != UNREACHABLE

    def contact_host(self, _remote: str) -> str:
        return "127.0.0.1"

    def new_media(self, _remote: str, **_more: Any) -> FakeMedia:
        self.opened.append(FakeMedia())
        return self.opened[-1]


def a_leg(parts: FakeParts, *trunks: str, ring_s: float = 60.0) -> OutgoingLeg:
    """To +6591234567 by these trunks."""
    routes = tuple(
        TrunkRoute(trunk_id=TrunkId(name), name=name, address=f"sip:{name}.example")
        for name in trunks
    )
    plan = OutgoingLegPlan(dest="+6591234567", caller="private", routes=routes, ring_s=ring_s)
    return OutgoingLeg(parts, name="S-1-a", plan=plan)  # type: ignore[arg-type]


async def settle() -> None:
    """Let everything happen that can without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


def failed(status: int, *contacts: str) -> CallFailed:
    """A refusal."""
    return CallFailed(0, status, "", None, contacts)


async def gone(connecting: asyncio.Task[None]) -> None:
    """The call came to nothing."""
    with pytest.raises(CallGone):
        await connecting


async def test_an_answered_leg_is_up() -> None:
    """One INVITE; the answer's SDP is taken, and a BYE after a restart would be possible."""
    parts = FakeParts(one=["192.0.2.1"])
    leg = a_leg(parts, "one")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.on_sip_progress(Progress(1, 180, None))
    leg.on_final(Answered(1, SDP, RESPONSE))
    await connecting
    assert parts.belonging == [("call 1", "S-1-a", "")]
    assert leg.state is LegState.UP
    assert leg.disposition is Disposition.ANSWERED
    assert leg.dialog
    assert parts.core.invites == [("192.0.2.1", "sip:+6591234567@one.example")]


@pytest.mark.parametrize(
    ("status", "disposition"),
    [
        (486, Disposition.BUSY),
        (600, Disposition.BUSY),
        (603, Disposition.REJECTED),
        (480, Disposition.NO_ANSWER),
        (404, Disposition.FAILED),
    ],
)
async def test_the_word_of_the_far_end_is_final(status: int, disposition: Disposition) -> None:
    """No other trunk is asked where the number itself has answered, or does not exist."""
    parts = FakeParts(one=["192.0.2.1"], two=["192.0.2.2"])
    leg = a_leg(parts, "one", "two")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.on_final(failed(status))
    await gone(connecting)
    assert leg.disposition is disposition
    assert len(parts.core.invites) == 1
    assert not parts.opened[0].is_open


async def test_what_fails_before_it_rings_is_tried_by_the_next_way() -> None:
    """Each address of the first trunk, then the second trunk; every attempt has own media."""
    parts = FakeParts(one=["192.0.2.1", "192.0.2.2"], two=["192.0.2.3"])
    leg = a_leg(parts, "one", "lost", "two")
    connecting = asyncio.create_task(leg.connect())
    for status in (503, 500):
        await settle()
        leg.on_final(failed(status))
    await settle()
    leg.on_final(Answered(3, SDP, RESPONSE))
    await connecting
    assert [address for address, _uri in parts.core.invites] == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    ]
    assert [media.is_open for media in parts.opened] == [False, False, True]


async def test_once_it_rang_no_other_way_is_tried() -> None:
    """The person has heard the phone: calling again by another trunk would be a second call."""
    parts = FakeParts(one=["192.0.2.1"], two=["192.0.2.2"])
    leg = a_leg(parts, "one", "two")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.on_sip_progress(Progress(1, 180, None))
    leg.on_final(failed(500))
    await gone(connecting)
    assert leg.disposition is Disposition.FAILED
    assert len(parts.core.invites) == 1


async def test_an_address_that_cannot_be_sent_to_is_passed_over() -> None:
    """SIP on loopback reaches no carrier: known at once, and not after the ring time."""
    parts = FakeParts(one=[UNREACHABLE], two=["192.0.2.2"])
    leg = a_leg(parts, "one", "two")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.on_final(Answered(1, SDP, RESPONSE))
    await connecting
    assert [address for address, _uri in parts.core.invites] == ["192.0.2.2"]


async def test_no_trunk_that_is_found_is_a_failure() -> None:
    """Names that lead nowhere: nobody was called."""
    parts = FakeParts()
    leg = a_leg(parts, "lost", "gone")
    await gone(asyncio.create_task(leg.connect()))
    assert leg.disposition is Disposition.FAILED
    assert parts.core.invites == []


async def test_a_silent_address_is_left_while_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given up with a CANCEL after its time; the last address is waited for."""
    monkeypatch.setattr(outgoing_leg, "SHOWS_LIFE_S", 0.0)
    parts = FakeParts(one=["192.0.2.1", "192.0.2.2"])
    leg = a_leg(parts, "one")
    connecting = asyncio.create_task(leg.connect())
    await asyncio.sleep(0.01)
    await settle()
    assert [address for address, _uri in parts.core.invites] == ["192.0.2.1", "192.0.2.2"]
    assert parts.core.hung_up == [1]
    assert not connecting.done()
    leg.on_final(Answered(2, SDP, RESPONSE))
    await connecting


@pytest.mark.parametrize("trunks", [("one",), ("one", "lost"), ("one", "lost", "gone")])
async def test_the_last_address_that_can_be_found_has_all_our_patience(
    monkeypatch: pytest.MonkeyPatch, trunks: tuple[str, ...]
) -> None:
    """Trunks behind it whose names lead nowhere are no other way: it is waited for."""
    monkeypatch.setattr(outgoing_leg, "SHOWS_LIFE_S", 0.0)
    parts = FakeParts(one=["192.0.2.1"])
    leg = a_leg(parts, *trunks)
    connecting = asyncio.create_task(leg.connect())
    await asyncio.sleep(0.01)
    await settle()
    assert not connecting.done()
    assert parts.core.hung_up == []
    leg.on_final(Answered(1, SDP, RESPONSE))
    await connecting
    assert leg.state is LegState.UP


async def test_an_answer_that_comes_while_the_next_trunk_is_looked_up_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slow name servers cost no call."""
    monkeypatch.setattr(outgoing_leg, "SHOWS_LIFE_S", 0.0)
    parts = FakeParts(one=["192.0.2.1"])
    targets = parts.targets.targets
    slow: asyncio.Future[list[SipTarget]] = asyncio.get_running_loop().create_future()
    parts.targets.targets = (  # type: ignore[method-assign]
        lambda route: targets(route) if route.name == "one" else slow  # type: ignore[assignment,return-value]
    )
    leg = a_leg(parts, "one", "slow")
    connecting = asyncio.create_task(leg.connect())
    await asyncio.sleep(0.01)
    leg.on_final(Answered(1, SDP, RESPONSE))
    slow.set_result([SipTarget("192.0.2.2", 5060)])
    await connecting
    assert [address for address, _uri in parts.core.invites] == ["192.0.2.1"]


async def test_a_trunk_that_is_trying_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 shows life: many a network takes longer than our patience until a phone rings."""
    monkeypatch.setattr(outgoing_leg, "SHOWS_LIFE_S", 0.0)
    parts = FakeParts(one=["192.0.2.1", "192.0.2.2"])
    parts.core.says_trying = True
    leg = a_leg(parts, "one")
    connecting = asyncio.create_task(leg.connect())
    await asyncio.sleep(0.01)
    await settle()
    assert len(parts.core.invites) == 1
    leg.on_final(Answered(1, SDP, RESPONSE))
    await connecting


async def test_progress_without_sound_is_no_ringing() -> None:
    """183 without SDP comes from a gateway, so what fails after it is tried by the next trunk."""
    parts = FakeParts(one=["192.0.2.1"], two=["192.0.2.2"])
    leg = a_leg(parts, "one", "two")
    heard: list[bool] = []
    leg.on_progress = lambda: heard.append(True)
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.on_sip_progress(Progress(1, 183, None))
    leg.on_final(failed(503))
    await settle()
    assert len(parts.core.invites) == 2
    assert not heard
    leg.end(EndReason.HANGUP)
    await gone(connecting)


async def test_nobody_is_called_for_a_call_that_ended_while_a_name_was_looked_up() -> None:
    """The address comes in the very instant of the end: no INVITE, and no media are left open."""
    parts = FakeParts()
    found: asyncio.Future[list[SipTarget]] = asyncio.get_running_loop().create_future()
    parts.targets.targets = lambda _route: found  # type: ignore[assignment,method-assign]
    leg = a_leg(parts, "one")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    found.set_result([SipTarget("192.0.2.1", 5060)])
    leg.end(EndReason.HANGUP)
    await gone(connecting)
    await leg.release()
    assert parts.core.invites == []
    assert not any(media.is_open for media in parts.opened)


async def test_a_trunk_that_cannot_be_called_at_all_is_a_failure() -> None:
    """A fault of ours is `failed`, not a call that the application gave up."""
    parts = FakeParts(one=["192.0.2.1"])

    def broken(**_more: Any) -> int:
        raise RuntimeError("a fault of ours")

    parts.core.call = broken  # type: ignore[method-assign]
    leg = a_leg(parts, "one")
    with pytest.raises(RuntimeError):
        await leg.connect()
    assert leg.state is LegState.GONE
    assert leg.disposition is Disposition.FAILED


async def test_the_ring_time_ends_a_call_that_nobody_answers() -> None:
    """CANCEL, and `no_answer`."""
    parts = FakeParts(one=["192.0.2.1"])
    leg = a_leg(parts, "one", ring_s=0.01)
    await gone(asyncio.create_task(leg.connect()))
    assert leg.disposition is Disposition.NO_ANSWER
    assert parts.core.hung_up == [1]


async def test_a_leg_that_is_ended_while_it_rings_is_cancelled() -> None:
    """Whoever waits for it hears so at once, and a late answer changes nothing."""
    parts = FakeParts(one=["192.0.2.1"])
    leg = a_leg(parts, "one")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.end(EndReason.FORCED)
    await gone(connecting)
    leg.on_final(Answered(1, SDP, RESPONSE))
    await settle()
    assert leg.state is LegState.GONE
    assert leg.disposition is Disposition.CANCELLED
    assert parts.core.hung_up == [1]


async def test_contacts_of_a_redirection_are_tried_on_the_trunk_only() -> None:
    """Another server of the trunk, for the number that was dialled; nothing else (decision 9)."""
    parts = FakeParts(one=["192.0.2.1", "192.0.2.2"])
    leg = a_leg(parts, "one")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    there = "sip:+6591234567@192.0.2.2:5060"
    leg.on_final(
        failed(302, "sip:+6591234567@evil.example", "sip:+19005550000@192.0.2.2:5060", there)
    )
    await settle()
    assert parts.core.invites[1:] == [("192.0.2.2", there)]
    # A redirection is followed once.
    leg.on_final(failed(302, "sip:+6591234567@192.0.2.1"))
    await gone(connecting)
    assert len(parts.core.invites) == 2
    assert leg.disposition is Disposition.FAILED


async def test_an_answer_without_usable_media_is_hung_up() -> None:
    """200 with SDP that is no answer to ours: BYE, and nobody calls the person a second time."""
    parts = FakeParts(one=["192.0.2.1", "192.0.2.2"], two=["192.0.2.3"])
    leg = a_leg(parts, "one", "two")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.on_final(Answered(1, b"nonsense", RESPONSE))
    await gone(connecting)
    assert leg.disposition is Disposition.FAILED
    assert parts.core.hung_up == [1]
    assert len(parts.core.invites) == 1


async def test_early_media_are_seen() -> None:
    """183 with SDP; the 200 may then come without."""
    parts = FakeParts(one=["192.0.2.1"])
    leg = a_leg(parts, "one")
    seen = []
    leg.on_progress = lambda: seen.append(leg.has_early_media)
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.on_sip_progress(Progress(1, 180, None))
    leg.on_sip_progress(Progress(1, 183, SDP))
    leg.on_final(Answered(1, None, RESPONSE))
    await connecting
    assert seen == [False, True]


async def test_a_bye_that_was_there_before_its_answer_was_read_ends_an_answered_leg() -> None:
    """Both waited while the loop was busy: the leg lasted, however shortly, so it is charged."""
    parts = FakeParts(one=["192.0.2.1"])
    leg = a_leg(parts, "one")
    connecting = asyncio.create_task(leg.connect())
    await settle()
    leg.on_final(Answered(1, SDP, RESPONSE))
    await connecting
    assert leg.up_us == parts.utc_us()
    parts.core.event_at = 0.5
    leg.on_ended(CallEndCause.OTHER_HUNG_UP)
    assert leg.ending.at == 0.5
    assert leg.ending.at_us == leg.up_us + 1
