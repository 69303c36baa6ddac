"""Monitored calls: what the recording of a whole call holds, and who is told of it when.

```
phone                 server                             application
  |                     |<------ ivr/middle/monitor (msg) --|
  |<===== msg ==========|                                   |
  |        [both sides are recorded from here on]           |
  |                     |-- monitor (ongoing) ------------->|
  |<== gather, play, record, hold, transfer, room: other blocks ==>
  |-- BYE ------------->|                                   |
  |                     |-- of the last block (ended) ----->|
  |                     |-- monitor (ended, monitor_url) -->|  monitor_notify_url, else notify_url
```

Left is what the caller says, right what the caller hears.
"""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.crash.facts import facts_of
from tests.functional.calls import decode, length_ms, waiting_for_a_block
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.tones import BEEP_FREQUENCY_HZ
from voiceblocks.recordings.state import RecordingState
from voiceblocks.testing import tone_code
from voiceblocks.testing.answering import Answer, EarlyMedia, RingForever
from voiceblocks.testing.conversation import be_silent, listen, speak, until_heard
from voiceblocks.testing.hearing import burst, find_burst, heard_at_s, spoken_at_s
from voiceblocks.testing.keypad import keypad, keys_heard
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.sounds import joined
from voiceblocks.testing.speakers import levels, voice, who_is_heard
from voiceblocks.testing.webhook_sink import ReceivedNotification

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIME_TRUE_MS = 20.0
EVENT_TOLERANCE_MS = 120.0
"The test knows the moments of begin and end by notifications and by packets."
SILENT_DBFS = -60.0
AUDIBLE_DBFS = -40.0
NO_MORE_S = 1.0


@dataclass(frozen=True)
class Sides:
    """A monitor's recording."""

    caller: NDArray[np.int16]
    heard: NDArray[np.int16]


async def sides_of(app: Application, told: ReceivedNotification) -> Sides:
    """Download and decode the stereo MP3 that a notification tells of."""
    assert told.body["monitor_status"] == "success"
    samples, rate_hz = soundfile.read(
        io.BytesIO(await app.fetch(told.body["monitor_url"])), dtype="int16"
    )
    assert rate_hz == 8000
    assert samples.shape[1] == 2
    return Sides(samples[:, 0], samples[:, 1])


async def finished(app: Application) -> Sides:
    """The recording that the next notification with `monitor_url` tells of."""
    return await sides_of(app, await app.told(ivr_block="monitor", call_state="ended"))


async def monitored(app: Application, phone: Phone, **parameters: str) -> tuple[PhoneCall, str]:
    """A call that waits for its next block, and is monitored since just now."""
    call, session = await waiting_for_a_block(app, phone)
    await app.monitor(session, **{"tag": "whole", **parameters})
    await app.told(ivr_block="monitor", call_state="ongoing")
    return call, session


def ms_since(began: float) -> float:
    """How long ago a monotonic second was."""
    return (time.monotonic() - began) * 1000


def between(samples: NDArray[np.int16], from_ms: float, to_ms: float) -> NDArray[np.int16]:
    """A part of a recording."""
    return samples[max(0, round(from_ms * 8)) : round(to_ms * 8)]


def is_silent(samples: NDArray[np.int16]) -> bool:
    """Nothing in any of its tenths of a second."""
    return all(
        rms_dbfs(samples[at : at + 800]) < SILENT_DBFS for at in range(0, len(samples) - 799, 800)
    )


def speakers_in(samples: NDArray[np.int16]) -> set[int]:
    """Whose voices a recording holds."""
    return {passage.speaker for passage in who_is_heard(samples)}


def find_beep(samples: NDArray[np.int16]) -> tuple[float, ...]:
    """Where the beep begins and ends, in ms, to 10 ms; empty where there is none."""
    found = []
    for at in range(0, len(samples) - 159, 80):
        frame = samples[at : at + 160]
        level = rms_dbfs(frame)
        if level > AUDIBLE_DBFS and goertzel_level_dbfs(frame, BEEP_FREQUENCY_HZ) > level - 1.5:
            found.append(at / 8)
    return (found[0], found[-1] + 20) if found else ()


async def test_a_whole_ivr_is_one_recording(app: Application, phone: Phone) -> None:
    """
    Gather, play and record go on as ever; left is the caller alone, right all that they heard.

    It begins when the announcement is over. Both sides are as long as the call from there; the
    speech is time-true; what the record block recorded meanwhile is the same speech again.
    """
    call, session = await monitored(app, phone, msg="This call is recorded.")
    began = time.monotonic()
    await app.accepted("ivr/middle/gather", session=session, max_digits="1", timeout="5")
    await call.media.press("7")
    gathered = await app.told(ivr_block="gather")
    assert gathered.body["digits"] == "7"
    spoken_from = call.media.utter(tone_code.encode_seconds(0, 6))
    await app.play(session, "Hello.")
    await app.told(ivr_block="play", call_state="ongoing")
    played_ms = ms_since(began)
    await app.record(session)
    beep_ended_ms = (await call.media.beep_ended() - began) * 1000
    await call.media.say(np.zeros(800, np.int16))
    await call.media.press("#")
    recorded = await app.told(ivr_block="record")
    call.hang_up()
    await call.ended()
    lasted_ms = ms_since(began)
    sides = await finished(app)

    assert len(sides.caller) == len(sides.heard)
    assert length_ms(sides.caller) == pytest.approx(lasted_ms, abs=EVENT_TOLERANCE_MS)

    spoken_ms = (spoken_at_s(call.media, await spoken_from) - began) * 1000
    left = tone_code.decode_seconds(sides.caller)
    assert left[0].starts_at_ms == pytest.approx(spoken_ms, abs=EVENT_TOLERANCE_MS)
    expected = tone_code.expected_seconds(0, 6, left[0].starts_at_ms)
    assert tone_code.explain(left, expected, TIME_TRUE_MS) == []
    assert is_silent(between(sides.caller, 0, left[0].starts_at_ms - 50))

    assert tone_code.decode_seconds(sides.heard) == []
    assert rms_dbfs(between(sides.heard, 0, played_ms)) > AUDIBLE_DBFS
    _beep_began_ms, beep_ms = find_beep(sides.heard)
    assert beep_ms == pytest.approx(beep_ended_ms, abs=EVENT_TOLERANCE_MS)
    assert is_silent(between(sides.heard, beep_ms + 100, lasted_ms))

    message = decode(await app.fetch(recorded.body["record_url"]))
    whole = {one.second_index: one.starts_at_ms for one in left}
    shifts = [
        whole[one.second_index] - one.starts_at_ms
        for one in tone_code.decode_seconds(message)
        if one.starts_at_ms >= 0
    ]
    assert len(shifts) >= 3
    assert max(shifts) - min(shifts) < TIME_TRUE_MS
    assert shifts[0] == pytest.approx(beep_ms, abs=EVENT_TOLERANCE_MS)


async def test_hold_and_transfer_are_in_it(app: Application, phone: Phone) -> None:
    """
    Right holds the music, the ring tone and the far end; both sides stand to one clock.

    None of it is in what the caller said.
    """
    async with Carrier(app) as carrier:
        friend = carrier.number(Answer(rings=0.5))
        call, session = await monitored(app, phone)
        began = time.monotonic()
        await app.hold(session)
        await listen({0: call}, seconds=1.5)
        held_ms = ms_since(began)
        await app.unhold(session)
        await app.told(ivr_block="unhold")
        transferred_ms = ms_since(began)
        await app.transfer(session, friend, tag="away")
        far = await carrier.call_to(friend)
        await far.answered()
        answered_ms = ms_since(began)
        people = {0: call, 1: far}
        speak(people)
        await until_heard({0: {1}, 1: {0}}, people)
        be_silent(call, far)
        spoken_from = call.media.utter(burst())
        far.media.say(burst(falling=True))
        await listen(people, seconds=1.5)
        far.hang_up()
        ended = await app.told(call_state="ended")
        assert (ended.body["ivr_block"], ended.body["transfer_status"]) == ("transfer", "answered")
        lasted_ms = ms_since(began)
        sides = await finished(app)
    assert len(sides.caller) == len(sides.heard)
    assert length_ms(sides.caller) == pytest.approx(lasted_ms, abs=EVENT_TOLERANCE_MS)

    assert rms_dbfs(between(sides.heard, held_ms - 1000, held_ms)) > AUDIBLE_DBFS
    assert rms_dbfs(between(sides.heard, transferred_ms, answered_ms)) > AUDIBLE_DBFS
    assert is_silent(between(sides.caller, 0, answered_ms))
    assert speakers_in(sides.caller) == {0}
    assert speakers_in(between(sides.heard, answered_ms, lasted_ms)) == {1}

    (said,) = find_burst(sides.caller, burst())
    (heard,) = find_burst(sides.heard, burst(falling=True))
    assert find_burst(sides.caller, burst(falling=True)) == []
    assert find_burst(sides.heard, burst()) == []
    said_s = spoken_at_s(call.media, await spoken_from)
    heard_s = heard_at_s(call.media, burst(falling=True))
    assert heard_s is not None
    assert (heard - said) / 8 == pytest.approx((heard_s - said_s) * 1000, abs=TIME_TRUE_MS)


async def test_what_was_announced_before_the_answer_is_in_no_monitor(app: Application) -> None:
    """A dialled call begins with its answer: its early media are in neither side."""
    announcement = EarlyMedia(plays=tone_code.encode_seconds(100, 2))
    async with Carrier(app) as carrier:
        number = carrier.number(Answer(early_media=announcement))
        session = (await app.dial(number))["session"]
        call = await carrier.call_to(number)
        await call.answered()
        await app.told(ivr_block="dial", call_state="ongoing")
        await app.monitor(session, tag="whole")
        await app.told(ivr_block="monitor", call_state="ongoing")
        await call.media.say(tone_code.encode_seconds(3, 2))
        call.hang_up()
        await app.told(call_state="ended", ivr_block="monitor")
        sides = await finished(app)
    said = [one.second_index for one in tone_code.decode_seconds(sides.caller)]
    assert said
    assert set(said) <= {3, 4}
    assert is_silent(sides.heard)


async def test_announcements_that_the_caller_does_not_hear_are_in_no_monitor(
    app: Application, phone: Phone
) -> None:
    """Of two numbers that ring the one's early media are played to nobody: right is ring tone."""
    announcement = EarlyMedia(plays=tone_code.encode_seconds(100, 2))
    async with Carrier(app) as carrier:
        number = carrier.number(Answer(early_media=announcement))
        call, session = await monitored(app, phone)
        began = time.monotonic()
        await app.transfer(session, f"{number},{carrier.number(RingForever())}")
        far = await carrier.call_to(number)
        await far.answered()
        answered_ms = ms_since(began)
        await far.media.say(tone_code.encode_seconds(3, 2))
        call.hang_up()
        await app.told(call_state="ended", ivr_block="transfer")
        sides = await finished(app)
    assert rms_dbfs(between(sides.heard, 0, answered_ms)) > AUDIBLE_DBFS
    assert {one.second_index for one in tone_code.decode_seconds(sides.heard)} <= {3, 4}
    assert tone_code.decode_seconds(between(sides.heard, answered_ms, answered_ms + 3000))
    assert is_silent(sides.caller)


async def test_who_is_told_and_when(app: Application, phone: Phone) -> None:
    """The end of the call is told first, then the recording, to its own address, once."""
    call, session = await monitored(app, phone, monitor_notify_url=app.url("/recording"))
    again = await app.block("ivr/middle/monitor", session, notify_url=app.url())
    assert again == "error_monitor_in_progress"
    await listen({0: call}, seconds=0.3)
    await app.hang_up(session, tag="bye")
    await call.ended()
    first = await app.told(call_state="ended")
    second = await app.told(call_state="ended")
    assert (first.body["ivr_block"], first.body["tag"]) == ("hangup", "bye")
    assert (second.body["ivr_block"], second.body["tag"]) == ("monitor", "whole")
    assert second.path.endswith("/recording")
    assert second.verify_signature(app.access_token)
    for name in ("session", "txn_ref", "from", "to", "date", "duration", "debit", "charge_id"):
        assert second.body[name] == first.body[name]
    await sides_of(app, second)
    assert sum("monitor_url" in told.body for told in app.sink.received) == 1


async def test_without_an_address_of_its_own(app: Application, phone: Phone) -> None:
    """The recording of a caller who hung up between two blocks is told to the notify_url."""
    call, _session = await monitored(app, phone, notify_url=app.url("/monitored"))
    call.media.say(voice(2, 500))
    await listen({0: call}, seconds=1)
    call.hang_up()
    block = await app.told(call_state="ended")
    assert "monitor_url" not in block.body
    told = await app.told(ivr_block="monitor", call_state="ended", monitor_status="success")
    assert told.path.endswith("/monitored")
    sides = await sides_of(app, told)
    assert len(sides.caller) == len(sides.heard)
    assert speakers_in(sides.caller) == {2}


async def test_hung_up_during_the_announcement(app: Application, phone: Phone) -> None:
    """Nothing was recorded, so the end of the block is all that is told; nothing is left open."""
    call, session = await waiting_for_a_block(app, phone)
    heard = len(call.media.heard)
    await app.monitor(session, msg="This call is recorded, as long as it lasts.", tag="short")
    async with asyncio.timeout(5):
        while all(rms_dbfs(one.samples) < AUDIBLE_DBFS for one in call.media.heard[heard:]):
            await listen({0: call}, seconds=0.1)
    call.hang_up()
    ended = await app.told(call_state="ended")
    assert (ended.body["ivr_block"], ended.body["duration"]) == ("monitor", "1")
    assert "monitor_status" not in ended.body
    with pytest.raises(TimeoutError):
        await app.sink.next(NO_MORE_S)
    (recording,) = (await facts_of(app, session)).recordings
    assert recording.state is RecordingState.FAILED


async def test_in_a_room(app: Application, phone: Phone) -> None:
    """Right holds the others of the room and not oneself, left oneself and not the others."""
    async with Phone() as second, Phone() as third:
        call, session = await monitored(app, phone)
        people = {0: call}
        for number, other in ((1, second), (2, third)):
            people[number], other_session = await waiting_for_a_block(app, other)
            await app.transfer(other_session, "room:monitored")
        await app.transfer(session, "room:monitored")
        speak(people)
        await until_heard({0: {1, 2}, 1: {0, 2}, 2: {0, 1}}, people)
        await listen(people, seconds=1)
        call.hang_up()
        sides = await finished(app)
    assert speakers_in(sides.caller) == {0}
    assert speakers_in(sides.heard) == {1, 2}
    assert set(levels(sides.heard[-8000:])) == {1, 2}


async def test_a_dialled_call(app: Application) -> None:
    """The dialled number is the one whose words are left."""
    async with Carrier(app) as carrier:
        dest = carrier.number()
        session = (await app.dial(dest))["session"]
        call = await carrier.call_to(dest)
        await app.told(ivr_block="dial")
        await app.monitor(session)
        await app.told(ivr_block="monitor")
        call.media.say(voice(4, 1500))
        await app.play(session, "Good morning.")
        await app.told(ivr_block="play")
        await listen({0: call}, seconds=1.5)
        await app.hang_up(session)
        await app.told(ivr_block="hangup", call_state="ended")
        told = await app.told(ivr_block="monitor", call_state="ended")
        assert told.body["dest"] == dest
        sides = await sides_of(app, told)
    (passage,) = who_is_heard(sides.caller)
    assert passage.speaker == 4
    assert passage.lasts_ms == pytest.approx(1500, abs=60)
    assert rms_dbfs(sides.heard) > AUDIBLE_DBFS
    assert who_is_heard(sides.heard) == []


async def test_keys_are_silenced_where_the_application_wants_it(app: Application) -> None:
    """A PIN that a monitored caller types as tones is gathered, and is on neither side."""
    await app.server.cli("app", "set", app.app_id, silence_keys=True)
    async with Phone(telephone_event=False) as phone:
        call, session = await monitored(app, phone)
        await app.accepted("ivr/middle/gather", session=session, max_digits="4")
        await call.media.say(joined([voice(1, 800), keypad("4711", on_ms=100, off_ms=80)]))
        assert (await app.told(ivr_block="gather")).body["digits"] == "4711"
        await call.media.say(voice(2, 800))
        call.hang_up()
        sides = await finished(app)
    assert [passage.speaker for passage in who_is_heard(sides.caller)] == [1, 2]
    assert keys_heard(sides.caller) == keys_heard(sides.heard) == ""
