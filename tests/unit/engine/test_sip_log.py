"""SIP messages find their call by Call-ID, before it is known and after it is over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from voiceblocks.engine.sip_log import (
    AFTERWARDS_US,
    MOST_BYTES,
    MOST_UNKNOWN,
    MOST_WAITING,
    PATIENCE_US,
    SipLog,
)
from voiceblocks.sip.flow import Flow
from voiceblocks.stories.model import SipMessage

FLOW = Flow("udp", ("127.0.0.1", 5060), ("127.0.0.1", 5070))


def message(call_id: str, start: str = "OPTIONS sip:a@b SIP/2.0") -> bytes:
    """A message with the compact form of Call-ID."""
    return f"{start}\r\ni : {call_id}\r\nCSeq: 1 OPTIONS\r\n\r\n".encode()


class World:
    """A log with a clock that stands still, and what it noted."""

    def __init__(self) -> None:
        self.clock: Any = SimpleNamespace(now_us=1, utc_us=lambda: self.clock.now_us)
        self.noted: list[tuple[str, SipMessage]] = []
        self.log = SipLog(self.clock, lambda session, event: self.noted.append((session, event)))

    def look(self) -> list[tuple[str, SipMessage]]:
        self.log.look_again()
        while self.log.look(100):
            """More."""
        noted, self.noted = self.noted, []
        return noted


def test_messages_wait_for_their_call_and_outlive_it() -> None:
    """An INVITE is there before its session, and the answer to BYE after its end."""
    world = World()
    world.log.on_message(message("one"), FLOW, incoming=True)
    assert world.look() == []
    world.log.belongs("one", "S-1", "leg_2")
    ((session, found),) = world.look()
    assert (session, found.leg, found.incoming, found.at_us) == ("S-1", "leg_2", True, 1)
    assert (found.local, found.remote, found.transport) == (FLOW.local, FLOW.remote, "udp")
    world.log.over("S-1")
    world.clock.now_us += AFTERWARDS_US - 1
    world.log.on_message(message("one"), FLOW, incoming=False)
    assert len(world.look()) == 1
    world.clock.now_us += 1
    world.log.look_again()
    world.log.on_message(message("one"), FLOW, incoming=False)
    assert world.look() == []


def test_what_belongs_to_no_call_is_forgotten() -> None:
    """Registrations and probes are dropped after a while; what has no Call-ID at once."""
    world = World()
    world.log.on_message(message("register"), FLOW, incoming=True)
    world.log.on_message(b"no SIP at all", FLOW, incoming=True)
    world.look()
    world.clock.now_us += PATIENCE_US
    world.look()
    world.log.belongs("register", "S-1", "")
    assert world.look() == []


def test_a_second_call_by_the_same_call_id_gets_nothing() -> None:
    """Nobody reads another call's messages by choosing its Call-ID."""
    world = World()
    world.log.belongs("one", "S-1", "")
    world.log.belongs("one", "S-2", "")
    world.log.on_message(message("one"), FLOW, incoming=True)
    assert [session for session, _ in world.look()] == ["S-1"]
    world.log.over("S-2")
    world.clock.now_us += AFTERWARDS_US
    world.log.on_message(message("one"), FLOW, incoming=True)
    assert [session for session, _ in world.look()] == ["S-1"]


def test_a_flood_is_bounded() -> None:
    """Neither many messages nor long ones fill the memory; a long one is told as what it was."""
    world = World()
    long = message("one") + b"x" * 60_000
    for _ in range(2 * MOST_WAITING):
        world.log.on_message(long, FLOW, incoming=True)
    world.look()
    world.log.belongs("one", "S-1", "")
    noted = world.look()
    assert len(noted) == MOST_UNKNOWN
    assert {len(found.data) for _, found in noted} == {MOST_BYTES}
    assert {found.size_bytes for _, found in noted} == {len(long)}
