"""Steps that tests of connected calls share."""

from __future__ import annotations

import asyncio

from tests.functional.calls import ringing
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.testing.answering import Answer, Behaviour
from voiceblocks.testing.conversation import speak, until_heard
from voiceblocks.testing.phone import Phone, PhoneCall

STEP_LIMIT_S = 10.0

INBOUND, OUTBOUND = 20, 40
"Thousandths a minute: the default rates."


async def transferred(
    app: Application,
    phone: Phone,
    carrier: Carrier,
    *,
    behaviour: Behaviour | None = None,
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    ptime_ms: int = 20,
    **parameters: str,
) -> tuple[PhoneCall, PhoneCall, str]:
    """A caller who talks with a number: both calls, answered, and the session."""
    number = carrier.number(behaviour or Answer())
    call, session = await ringing(app, phone, codecs=codecs, ptime_ms=ptime_ms)
    await app.transfer(session, number, **parameters)
    await call.answered()
    far = await carrier.call_to(number)
    await far.answered()
    return call, far, session


async def talking(
    app: Application, phone: Phone, carrier: Carrier, **parameters: str
) -> tuple[PhoneCall, PhoneCall, str]:
    """The same, once each hears exactly the other."""
    call, far, session = await transferred(app, phone, carrier, **parameters)
    await hear_each_other(call, far)
    return call, far, session


async def hear_each_other(*calls: PhoneCall) -> dict[int, PhoneCall]:
    """Let all speak, until each hears exactly all others; returns who has which voice."""
    people = dict(enumerate(calls))
    speak(people)
    await until_heard({who: set(people) - {who} for who in people}, people)
    return people


async def ended(*calls: PhoneCall) -> None:
    """Wait until all have ended."""
    async with asyncio.timeout(STEP_LIMIT_S):
        await asyncio.gather(*(call.ended() for call in calls))
