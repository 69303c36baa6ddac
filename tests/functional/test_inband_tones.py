"""Keys that come as tones in the audio, or by INFO: they work as those of RFC 4733 do.

```
phone without telephone-event   server                      application
  |-- INVITE (PCMU alone) ------->|                             |
  |== 697 + 1209 Hz =============>|  (a 1)                      |
  |== 941 + 1477 Hz =============>|-- gather digits=1 --------->|
  |== speech, 941 + 1477 Hz =====>|-- record (without the #) -->|
```
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.functional.calls import decode, length_ms, recording, waiting_for_a_block
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.testing.conversation import listen
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.keypad import keypad, keys_heard
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.sounds import joined, silence
from voiceblocks.testing.speakers import voice, who_is_heard

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEPT_UNTIL_MS = 20.0
"So long before the key the recording may end."
EDGE_MS = 10.0
"A voice's end is found within two windows of 5 ms."
SPEECH_TEXT = "Six five nine one, two three four. Who knows why you would say so?"


async def gathering(app: Application, session: str, **parameters: str) -> None:
    """Ask for the block, which must be accepted."""
    await app.accepted("ivr/middle/gather", session=session, timeout="5", **parameters)


async def digits_of(app: Application) -> str:
    """What the next gather heard."""
    return (await app.told(ivr_block="gather")).body["digits"]


async def dialled(app: Application, carrier: Carrier) -> tuple[PhoneCall, str]:
    """A call over a trunk that waits for its first block."""
    dest = carrier.number()
    session = (await app.dial(dest))["session"]
    call = await carrier.call_to(dest)
    await app.told(ivr_block="dial")
    return call, session


async def test_gather_takes_them(app: Application) -> None:
    """All twelve keys, in order, each once; `#` ends the entry, and a prompt stops at the first."""
    async with Phone(telephone_event=False) as phone:
        call, session = await waiting_for_a_block(app, phone)
        await gathering(app, session, msg="Please enter your number. " * 20)
        await listen({0: call}, seconds=0.5)
        call.media.say(keypad("1234567890*1#", on_ms=60, off_ms=60))
        assert await digits_of(app) == "1234567890*1"


async def test_record_ends_by_one(app: Application) -> None:
    """The recording holds no tone of `#`, and all that was said until 20 ms before it."""
    async with Phone(telephone_event=False) as phone:
        call, session = await recording(app, phone)
        call.media.say(joined([voice(3, 2000), keypad("#", on_ms=120)]))
        told = await app.told(ivr_block="record")
        assert told.body["call_state"] == "ongoing"
        samples = decode(await app.fetch(told.body["record_url"]))
        await app.hang_up(session)
    assert keys_heard(samples) == ""
    (passage,) = who_is_heard(samples)
    assert passage.speaker == 3
    assert 2000 - KEPT_UNTIL_MS - EDGE_MS <= passage.lasts_ms <= 2000 + EDGE_MS
    assert length_ms(samples) - passage.to_ms <= EDGE_MS


async def test_a_key_in_a_recording_that_is_no_finish_key(app: Application) -> None:
    """The recording goes on over other keys."""
    async with Phone(telephone_event=False) as phone:
        call, _session = await recording(app, phone)
        said = joined([voice(3, 600), silence(100), keypad("5"), voice(4, 600), keypad("#")])
        call.media.say(said)
        told = await app.told(ivr_block="record")
        samples = decode(await app.fetch(told.body["record_url"]))
    assert {passage.speaker for passage in who_is_heard(samples)} == {3, 4}
    assert length_ms(samples) == pytest.approx(1500, abs=60)


@pytest.mark.parametrize("leak_ms", [0, 40, 100])
async def test_no_key_counts_twice(app: Application, phone: Phone, leak_ms: int) -> None:
    """A gateway lets some of a tone pass before its RFC 4733 event: one key."""
    call, session = await waiting_for_a_block(app, phone)
    await gathering(app, session, max_digits="3")
    for key in "505":
        if leak_ms:
            await call.media.say(keypad(key, on_ms=leak_ms, off_ms=0))
        await call.media.press(key)
        await call.media.say(silence(120))
    assert await digits_of(app) == "505"


async def test_speech_is_no_key(app: Application, phone: Phone) -> None:
    """Somebody who speaks presses nothing; the keys after that are heard."""
    speech = await spoken(app, phone)
    assert len(speech) > 8 * 3000
    async with Phone(telephone_event=False) as other:
        call, session = await waiting_for_a_block(app, other)
        await app.accepted("ivr/middle/gather", session=session, timeout="15", max_digits="9")
        await call.media.say(joined([speech, silence(100), keypad("58#")]))
        assert await digits_of(app) == "58"


async def spoken(app: Application, phone: Phone) -> NDArray[np.int16]:
    """Some seconds of speech, such as the server itself says."""
    call, session = await waiting_for_a_block(app, phone)
    await app.play(session, SPEECH_TEXT)
    await app.told(ivr_block="play")
    return call.media.audio()


async def test_a_trunk_with_info(app: Application) -> None:
    """Its keys come by INFO, each once, and go out by INFO to whom a caller is connected with."""
    async with Carrier(app, dtmf="info") as carrier, Phone() as phone:
        call, session = await dialled(app, carrier)
        await gathering(app, session)
        for key in "905#":
            call.send_info(key)
            await listen({0: call}, seconds=0.2)
        assert await digits_of(app) == "905"
        await app.hang_up(session)

        friend = carrier.number()
        caller, session = await waiting_for_a_block(app, phone)
        await app.transfer(session, friend)
        far = await carrier.call_to(friend)
        await far.answered()
        await listen({0: caller, 1: far}, seconds=0.3)
        await caller.media.press("4")
        bodies = await infos(carrier.trunk, 1)
        assert "Signal=4" in bodies[0]
        assert far.media.digits_heard == []
        assert keys_heard(far.media.audio()) == ""


async def infos(trunk: FakeTrunk, count: int) -> list[str]:
    """The bodies of the INFO requests that came, when there are so many."""
    async with asyncio.timeout(5):
        while True:
            found = [r.request.body.decode() for r in trunk.requests if r.request.method == "INFO"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def test_a_trunk_with_inband_tones(app: Application) -> None:
    """No telephone-event is offered to it; tones come in as keys, and go out where keys came in."""
    async with Carrier(app, dtmf="inband") as carrier, Phone() as phone:
        call, session = await dialled(app, carrier)
        assert call.request is not None
        assert b"telephone-event" not in call.request.body
        await gathering(app, session)
        call.media.say(keypad("66#"))
        assert await digits_of(app) == "66"
        await app.hang_up(session)

        friend = carrier.number()
        caller, session = await waiting_for_a_block(app, phone)
        await app.transfer(session, friend)
        far = await carrier.call_to(friend)
        await far.answered()
        await listen({0: caller, 1: far}, seconds=0.3)
        for key in "72":
            await caller.media.press(key)
            await caller.media.say(silence(200))
        await listen({0: caller, 1: far}, seconds=0.7)
        assert keys_heard(far.media.audio()) == "72"
        far.media.say(keypad("8"))
        await listen({0: caller, 1: far}, seconds=0.7)
        assert [key for key, _at in dict.fromkeys(caller.media.digits_heard)] == ["8"]
