"""The shell around the SIP core."""

from __future__ import annotations

import asyncio

from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.sip.events import Event, InviteReceived, LegCancelled
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.phone import Phone


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
