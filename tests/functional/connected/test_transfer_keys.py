"""Keys in a conversation: each side gets them in the way that it understands.

```
phone                     server                     far end
  |== telephone-event =====>|== telephone-event ======>|   agreed on them
  |== telephone-event =====>|== tones in the audio ===>|   knows none
  |== telephone-event =====>|-- INFO ----------------->|   by its trunk's setting
  |<== telephone-event =====|<=== either of them ======|
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.connected.steps import transferred
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.testing.conversation import be_silent
from voiceblocks.testing.hearing import heard_audio
from voiceblocks.testing.keypad import keypad, keys_heard
from voiceblocks.testing.phone import Phone, PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEYS = "0123456789*#ABCD"
LIMIT_S = 6.0
"For a few keys of a tenth of a second each."


def events_of(call: PhoneCall) -> str:
    """The keys that came as telephone-events; all packets of one have its timestamp."""
    events = dict.fromkeys((timestamp, event) for event, timestamp in call.media.digits_heard)
    return "".join(KEYS[int(event)] for _timestamp, event in events)


def tones_of(call: PhoneCall) -> str:
    """The keys that came as tones."""
    return keys_heard(heard_audio(call.media.heard))


async def press(call: PhoneCall, keys: str) -> None:
    """As telephone-events, with pauses that people make."""
    for key in keys:
        await call.media.press(key)
        await asyncio.sleep(0.25)  # a person pauses between keys


async def says(expected: str, heard: object, call: PhoneCall) -> None:
    """Wait until these keys were heard, and then that no more come."""
    assert callable(heard)
    try:
        async with asyncio.timeout(LIMIT_S):
            while len(heard(call)) < len(expected):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # several ways of hearing, no common event
    except TimeoutError:
        pass
    await asyncio.sleep(0.4)  # silence is asserted: no key comes twice
    assert heard(call) == expected


@pytest_asyncio.fixture(loop_scope="session")
async def by_info(owner: Application) -> AsyncIterator[Carrier]:
    """A carrier that wants keys by INFO."""
    async with Carrier(owner, dtmf="info") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def tones_phone() -> AsyncIterator[Phone]:
    """A phone that knows no telephone-event."""
    async with Phone(telephone_event=False) as made:
        yield made


async def test_telephone_events_both_ways(app: Application, phone: Phone, carrier: Carrier) -> None:
    """Each key arrives once, in order, and not as a tone beside."""
    call, far, _session = await transferred(app, phone, carrier)
    await asyncio.gather(press(call, "19#"), press(far, "20*"))
    await asyncio.gather(says("19#", events_of, far), says("20*", events_of, call))
    assert (tones_of(call), tones_of(far)) == ("", "")


async def test_a_far_end_that_knows_tones_only(
    app: Application, phone: Phone, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tones become events, and the caller's events become tones for it."""
    monkeypatch.setattr(carrier.trunk, "telephone_event", False)
    call, far, _session = await transferred(app, phone, carrier)
    await press(call, "42")
    await says("42", tones_of, far)
    await far.media.say(keypad("73"))
    await says("73", events_of, call)


async def test_a_caller_who_knows_tones_only(
    app: Application, tones_phone: Phone, carrier: Carrier
) -> None:
    """The same the other way round."""
    call, far, _session = await transferred(app, tones_phone, carrier)
    await call.media.say(keypad("42"))
    await says("42", events_of, far)
    await press(far, "73")
    await says("73", tones_of, call)


async def test_tones_to_tones(
    app: Application, tones_phone: Phone, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audio carries them already: each key is heard once."""
    monkeypatch.setattr(carrier.trunk, "telephone_event", False)
    call, far, _session = await transferred(app, tones_phone, carrier)
    await call.media.say(keypad("42"))
    await says("42", tones_of, far)
    await far.media.say(keypad("73"))
    await says("73", tones_of, call)
    be_silent(call, far)


async def test_a_trunk_that_wants_info(app: Application, phone: Phone, by_info: Carrier) -> None:
    """The caller's events become INFO for it, and its INFO becomes events."""
    call, far, _session = await transferred(app, phone, by_info)
    await press(call, "5#")

    def infos(_call: PhoneCall) -> str:
        bodies = [
            one.request.body.decode()
            for one in by_info.trunk.requests
            if one.request.method == "INFO"
        ]
        return "".join(body.partition("Signal=")[2].strip()[:1] for body in bodies)

    await says("5#", infos, far)
    for key in "68":
        far.send_info(key)
        await asyncio.sleep(0.3)  # a person pauses between keys
    await says("68", events_of, call)
