"""What is heard while a transfer rings, and when the far end changes its media.

```
phone                     server                     far end
  |<==== ring tone =========|<---- 180 ----------------|   of its country
  |<==== what it sends =====|<---- 183 (SDP) ----------|   in place of the tone
  |<============= 200: each hears the other ==========>|
  |                         |<---- INVITE (hold) ------|
  |                         |<---- INVITE (PCMA) ------|   while the caller keeps PCMU
```
"""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.functional.calls import ringing
from tests.functional.connected.steps import ended, hear_each_other, talking, transferred
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.testing.answering import Answer, ByHand, EarlyMedia, RingForever
from voiceblocks.testing.conversation import listen, until_heard, who_hears_whom
from voiceblocks.testing.hearing import gaps, heard_audio, longest_pause_ms
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.speakers import levels, voice

pytestmark = pytest.mark.asyncio(loop_scope="session")

FRAME = 160
AUDIBLE_DBFS = -40.0


def passages(samples: NDArray[np.int16]) -> list[tuple[bool, int]]:
    """Sound and silence one after another: whether it sounds, and for how many ms."""
    found: list[tuple[bool, int]] = []
    for start in range(0, len(samples) - FRAME + 1, FRAME):
        sounds = rms_dbfs(samples[start : start + FRAME]) > AUDIBLE_DBFS
        last = found.pop() if found and found[-1][0] == sounds else (sounds, 0)
        found.append((sounds, last[1] + 20))
    return found


async def rings(
    app: Application, phone: Phone, carrier: Carrier, number: str, seconds: float
) -> NDArray[np.int16]:
    """What a caller hears of a number that rings, from the first sound on."""
    call, session = await ringing(app, phone)
    await app.transfer(session, number)
    await call.answered()
    far = await carrier.call_to(number)
    heard = await listen({0: call}, seconds=seconds)
    call.hang_up()
    await ended(call, far)
    loud = np.flatnonzero(np.abs(heard[0]) > 300)
    return heard[0][loud[0] :]


def assert_cadence(samples: NDArray[np.int16], *durations_ms: int) -> None:
    """Tone and silence alternate with these durations; the last one may be cut short."""
    found = passages(samples)
    for index, expected_ms in enumerate(durations_ms):
        sounds, lasts_ms = found[index]
        assert sounds is (index % 2 == 0), found
        if index < len(found) - 1:
            assert abs(lasts_ms - expected_ms) <= 40, found


async def test_the_ring_tone_of_the_country(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """Singapore's double ring at 425 Hz, and the two seconds of 440 and 480 Hz of America."""
    american = f"+1212555{carrier.prefix[-4:]}"
    await app.server.add_trunk(f"us{american[1:]}", carrier.trunk.address, prefix=(american,))
    await app.allow(american)
    carrier.trunk.route(american, RingForever())
    singapore, america = await asyncio.gather(
        rings(app, phone, carrier, carrier.number(RingForever()), 1.5),
        rings(app, phone, carrier, american, 2.5),
    )
    assert_cadence(singapore, 400, 200, 400, 2000)
    assert goertzel_level_dbfs(singapore[:3200], 425) > -30
    assert_cadence(america, 2000, 4000)
    for frequency_hz in (440, 480):
        assert goertzel_level_dbfs(america[:8000], frequency_hz) > -30
    assert goertzel_level_dbfs(america[:8000], 425) < -45


async def test_no_tone_before_it_rings(app: Application, phone: Phone, carrier: Carrier) -> None:
    """Silence until 180, and none of the tone after the answer."""
    number = carrier.number(ByHand())
    call, session = await ringing(app, phone)
    await app.transfer(session, number)
    await call.answered()
    far = await carrier.call_to(number)
    silent = (await listen({0: call}, seconds=0.5))[0]
    assert rms_dbfs(silent) < -60
    far.ring()
    while rms_dbfs((await listen({0: call}, seconds=0.1))[0]) < AUDIBLE_DBFS:
        pass
    far.answer()
    await far.answered()
    await asyncio.sleep(0.1)  # packets that were on their way
    afterwards = (await listen({0: call}, seconds=1.0))[0]
    assert rms_dbfs(afterwards) < -60


async def test_early_media_are_heard_in_place_of_the_tone(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """The announcement is heard whole, without any tone; then each hears the other."""
    announcement = voice(5, 1500)
    number = carrier.number(Answer(ringing=False, early_media=EarlyMedia(plays=announcement)))
    call, session = await ringing(app, phone)
    await app.transfer(session, number)
    await call.answered()
    far = await carrier.call_to(number)
    heard = (await listen({0: call}, seconds=1.4))[0]
    assert set(levels(heard, 500)) == {5}
    assert goertzel_level_dbfs(heard, 425) < -45
    await far.answered()
    await hear_each_other(call, far)
    audio = heard_audio(call.media.heard)
    said = np.flatnonzero(np.abs(audio) > 300)
    assert gaps(audio[said[0] : said[0] + 8 * 1400], 5, longer_than_ms=20) == []


async def test_early_media_after_the_tone(app: Application, phone: Phone, carrier: Carrier) -> None:
    """180, then 183: the announcement takes the tone's place; a refusal then ends it."""
    number = carrier.number(ByHand())
    call, session = await ringing(app, phone)
    await app.transfer(session, number, on_failure="continue")
    await call.answered()
    far = await carrier.call_to(number)
    far.ring()
    while rms_dbfs((await listen({0: call}, seconds=0.1))[0]) < AUDIBLE_DBFS:
        pass
    said = far.early_media(voice(6, 2000))
    await until_heard({0: {6}}, {0: call})
    await said
    far.refuse(486)
    assert (await app.told(ivr_block="transfer")).body["transfer_status"] == "busy"
    await app.play(session, "Sorry.")
    assert (await app.told(ivr_block="play")).body["call_state"] == "ongoing"


async def test_early_media_of_several_numbers_are_not_mixed(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """The caller hears the ring tone; each number's announcement stays unheard."""
    numbers = [carrier.number(ByHand()) for _ in range(2)]
    call, session = await ringing(app, phone)
    await app.transfer(session, ",".join(numbers))
    await call.answered()
    for speaker, number in enumerate(numbers, 3):
        (await carrier.call_to(number)).early_media(voice(speaker, 3000))
    while rms_dbfs((await listen({0: call}, seconds=0.1))[0]) < AUDIBLE_DBFS:
        pass
    heard = (await listen({0: call}, seconds=0.6))[0]
    assert set(levels(heard)) & {3, 4} == set()
    assert goertzel_level_dbfs(heard, 425) > -35


@pytest.mark.parametrize(
    ("near", "far_codec", "ptime_ms"),
    [("PCMU", "PCMA", 30), ("PCMA", "PCMU", 10), ("PCMA", "PCMA", 60), ("PCMU", "PCMU", 40)],
)
async def test_mixed_laws_and_packet_lengths(
    app: Application,
    phone: Phone,
    carrier: Carrier,
    monkeypatch: pytest.MonkeyPatch,
    near: str,
    far_codec: str,
    ptime_ms: int,
) -> None:
    """Each hears exactly the other, as loud as it speaks."""
    monkeypatch.setattr(carrier.trunk, "codecs", (far_codec,))
    call, far, _session = await transferred(app, phone, carrier, codecs=(near,), ptime_ms=ptime_ms)
    people = await hear_each_other(call, far)
    heard = await listen(people)
    for who, other in ((0, 1), (1, 0)):
        assert levels(heard[who])[other] == pytest.approx(-26, abs=1.0)
    assert len(call.media.heard[-1].samples) == ptime_ms * 8


async def test_hold_and_resume_of_the_far_end(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """Nothing is sent to who holds; the caller hears silence, and both again afterwards."""
    call, far, _session = await talking(app, phone, carrier)
    people = {0: call, 1: far}
    far.hold()
    await far.renegotiated()
    await asyncio.sleep(0.1)  # packets that were on their way
    packets = len(far.media.heard)
    await asyncio.sleep(0.5)  # silence is what is asserted
    assert len(far.media.heard) - packets <= 1
    far.resume()
    await far.renegotiated()
    await until_heard({0: {1}, 1: {0}}, people)
    far.hold("inactive")
    await far.renegotiated()
    await until_heard({0: set()}, people)
    far.resume()
    await far.renegotiated()
    await until_heard({0: {1}, 1: {0}}, people)


@pytest.mark.parametrize("who_changes", ["caller", "far end"])
async def test_another_codec_in_the_conversation(
    app: Application, phone: Phone, carrier: Carrier, who_changes: str
) -> None:
    """PCMU to PCMA and back by re-INVITE: each hears exactly the other all the time."""
    call, far, _session = await talking(app, phone, carrier)
    people = {0: call, 1: far}
    changing = call if who_changes == "caller" else far
    for codec in ("PCMA", "PCMU"):
        changing.reinvite(codecs=(codec,))
        await changing.renegotiated()
        await until_heard({0: {1}, 1: {0}}, people)
        assert who_hears_whom(await listen(people, seconds=0.5)) == {0: {1}, 1: {0}}


@pytest.mark.parametrize("who_changes", ["caller", "far end"])
async def test_another_packet_length_in_the_conversation(
    app: Application, phone: Phone, carrier: Carrier, who_changes: str
) -> None:
    """From 20 to 30 ms and back: our packets follow, and nothing is missing."""
    call, far, _session = await talking(app, phone, carrier)
    people = {0: call, 1: far}
    changing = call if who_changes == "caller" else far
    for ptime_ms in (30, 20):
        changing.reinvite(ptime_ms=ptime_ms)
        await changing.renegotiated()
        await asyncio.sleep(0.1)  # packets that were on their way
        heard = await listen(people, seconds=0.6)
        assert who_hears_whom(heard) == {0: {1}, 1: {0}}
        assert gaps(heard[0], 1, longer_than_ms=40) == gaps(heard[1], 0, longer_than_ms=40) == []
        assert len(changing.media.heard[-1].samples) == ptime_ms * 8


async def test_a_conversation_has_no_gaps(app: Application, phone: Phone, carrier: Carrier) -> None:
    """
    Two seconds of continuous tones both ways, without a hole that the phones did not make.

    Our phones share their process with the test, whose analysis of what was heard so far holds
    them up, and a busy machine does now and then; of each time the first 20 ms lie in the ear.
    """
    call, far, _session = await talking(app, phone, carrier)
    people = {0: call, 1: far}
    began_s = time.monotonic()
    await listen(people, seconds=0.5)
    heard = await listen(people, seconds=2)
    for listener, who, speaker in ((0, 1, far), (1, 0, call)):
        held_up_ms = longest_pause_ms(speaker.media, began_s)
        assert gaps(heard[listener], who, longer_than_ms=max(10.0, held_up_ms - 20)) == []
    await part(call, far)


async def part(call: PhoneCall, far: PhoneCall) -> None:
    """Hang up, and see it through."""
    call.hang_up()
    await ended(call, far)
