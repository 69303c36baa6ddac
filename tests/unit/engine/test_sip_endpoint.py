"""The shell around the SIP core."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.errors import StartupError
from voiceblocks.sip.events import (
    Answered,
    CallFailed,
    EndCause,
    Event,
    InviteReceived,
    LegCancelled,
    LegEnded,
    Progress,
)
from voiceblocks.sip.flow import Flow
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.answering import Answer
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.phone import Phone

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
    b"t=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
)


async def test_a_fault_in_one_event_stops_nothing() -> None:
    """What handles an INVITE raises; the next call is still answered, its timers still run."""
    seen: asyncio.Queue[Event] = asyncio.Queue()

    def on_event(event: Event) -> None:
        seen.put_nowait(event)
        raise RuntimeError("a fault of ours")

    endpoint = SipEndpoint(
        host="127.0.0.1", port=0, clock=SystemClock(), guard=None, on_event=on_event
    )
    await endpoint.start()
    host, port = endpoint.address
    async with Phone() as phone, asyncio.timeout(10):
        for _ in range(2):
            call = await phone.call(f"sip:+6531580000@{host}:{port}")
            came = await seen.get()
            assert isinstance(came, InviteReceived)
            leg = came.leg
            endpoint.run(lambda ua, now, leg=leg: ua.ring(leg, now))  # type: ignore[misc]
            await call.ringing()
            call.hang_up()
            await call.ended()
            assert isinstance(await seen.get(), LegCancelled)
    await endpoint.stop()


@pytest.mark.parametrize("is_asked_for", [False, True])
async def test_a_port_taken_for_tcp_only(
    is_asked_for: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where any port will do another one is tried; one that was asked for is refused."""
    refused: list[int] = []
    start_server = asyncio.start_server

    async def taken_at_first(*args: Any) -> asyncio.Server:
        if not refused:
            refused.append(args[2])
            raise OSError(errno.EADDRINUSE, "address already in use")
        return await start_server(*args)

    monkeypatch.setattr(asyncio, "start_server", taken_at_first)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        wanted = probe.getsockname()[1] if is_asked_for else 0
    endpoint = SipEndpoint(
        host="127.0.0.1", port=wanted, clock=SystemClock(), guard=None, on_event=lambda _event: None
    )
    if is_asked_for:
        with pytest.raises(StartupError):
            await endpoint.start()
    else:
        await endpoint.start()
        assert endpoint.address[1] > 0
        await endpoint.stop()
    assert len(refused) == 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_to_a_trunk(transport: str) -> None:
    """Placed, answered and hung up over the transport that the trunk wants."""
    seen: asyncio.Queue[Event] = asyncio.Queue()
    endpoint = SipEndpoint(
        host="127.0.0.1", port=0, clock=SystemClock(), guard=None, on_event=seen.put_nowait
    )
    await endpoint.start()
    async with FakeTrunk(default=Answer()) as trunk, asyncio.timeout(10):
        host, _, port = trunk.address.partition(":")
        for _ in range(2):
            leg = _call(endpoint, endpoint.flow_to(host, int(port), transport))
            while not isinstance(event := await seen.get(), Answered):
                assert isinstance(event, Progress)
            assert event.response.top_via.transport == transport.upper()
            endpoint.run(lambda ua, now, leg=leg: ua.hang_up(leg, now))  # type: ignore[misc]
            assert await seen.get() == LegEnded(leg, EndCause.HUNG_UP)
    await endpoint.stop()


async def test_a_call_to_nobody_over_tcp() -> None:
    """A connection that is refused fails the call at once, so that the next trunk is tried."""
    seen: asyncio.Queue[Event] = asyncio.Queue()
    endpoint = SipEndpoint(
        host="127.0.0.1", port=0, clock=SystemClock(), guard=None, on_event=seen.put_nowait
    )
    await endpoint.start()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        flow = endpoint.flow_to("127.0.0.1", nobody.getsockname()[1], "tcp")
        leg = _call(endpoint, flow)
        async with asyncio.timeout(5):
            failed = await seen.get()
    assert isinstance(failed, CallFailed)
    assert (failed.leg, failed.status) == (leg, 503)
    await endpoint.stop()


def _call(endpoint: SipEndpoint, flow: Flow) -> int:
    host, port = flow.remote
    return endpoint.run(
        lambda ua, now: ua.call(
            target=f"sip:+6591234567@{host}:{port}",
            from_="sip:+6531580000@127.0.0.1",
            to=f"sip:+6591234567@{host}:{port}",
            flow=flow,
            sdp=SDP,
            now=now,
        )
    )
