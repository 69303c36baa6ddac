"""`kill -9` of each process in the middle of a recording.

```
phone                server                        application
  |== beep ===========|                                 |
  |== speech ========>|                                 |
  |                 kill -9                             |
  |== speech ========>x   (nobody is there)             |
  |                 restart: rings, spools, MP3         |
  |<-- BYE -----------|-- record (success, ended) ----->|
```

All tests share one server and its data folder, so each starts from what the crash before
it left.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from tests.crash import facts
from tests.crash.victims import is_recovered, room_for_calls, victim
from tests.functional.calls import decode, length_ms, recording
from tests.harness import Application, ServerProcess
from tests.sealing import opened, samples_in, seal
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.calls.events import EndReason
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.state import SessionState
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone, PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def next_call_works(app: Application) -> None:
    """A fresh caller is recorded as if nothing had happened."""
    async with asyncio.timeout(30), Phone() as phone:
        call, _session = await recording(app, phone, tag="after")
        await call.media.say(tone_code.encode_seconds(9, 1))
        await call.media.press("#")
        told = await app.told(ivr_block="record", tag="after")
        assert told.body["record_status"] == "success"
        samples = decode(await app.fetch(told.body["record_url"]))
        assert [s.second_index for s in tone_code.decode_seconds(samples)] == [9]


async def pressed_finish_key(app: Application, phone: Phone) -> tuple[PhoneCall, str]:
    """A recording that is being finished: `#` has just gone."""
    call, session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 2))
    await call.media.press("#")
    return call, session


async def is_told_once(app: Application, session: str) -> None:
    """Whether it was finished before or after the kill: one recording, one `success`."""
    told = await app.told(ivr_block="record", record_status="success")
    samples = decode(await app.fetch(told.body["record_url"]))
    assert [s.second_index for s in tone_code.decode_seconds(samples)] == [0, 1]
    if told.body["call_state"] == "ongoing":
        await app.told(ivr_block="record", call_state="ended")
    found = await facts.facts_of(app, session)
    assert found.session.state is SessionState.ENDED
    assert [r.state for r in found.recordings] == [RecordingState.READY]
    assert sum("record_status" in n.body for n in app.sink.received) == 1
    assert len(found.charges) == 1


async def test_all_processes_at_once(server: ServerProcess) -> None:
    """`kill -9` of the whole tree, supervisor first; a new server finishes what it left."""
    async with contextlib.AsyncExitStack() as opened:
        apps = [await opened.enter_async_context(Application(server)) for _ in range(5)]
        phones = [await opened.enter_async_context(Phone()) for _ in range(5)]
        rings = await phones[4].call(apps[4].sip())
        await apps[4].told(ivr_block="answer")
        many, (finishing, session) = await asyncio.gather(
            asyncio.gather(
                *(victim(app, phone) for app, phone in zip(apps[:3], phones[:3], strict=True))
            ),
            pressed_finish_key(apps[3], phones[3]),
        )
        pids = [pid for found in server.pids().values() for pid in found]
        killed_at = time.monotonic()
        server.kill_all()
        await server.gone()
        await facts.until(lambda: not any(facts.is_alive(pid) for pid in pids))
        await server.start()
        for app, one in zip(apps, many, strict=False):
            one.killed_at = killed_at
            await is_recovered(app, one)
        await is_told_once(apps[3], session)
        async with asyncio.timeout(10):
            await finishing.ended()
        await finishing.media.stop()
        unanswered = await apps[4].told(ivr_block="answer", call_state="ended")
        assert (unanswered.body["duration"], unanswered.body["debit"]) == ("0", "0.000")
        rings.hang_up()
        await next_call_works(apps[0])


async def test_the_control_process(server: ServerProcess, app: Application, phone: Phone) -> None:
    """The supervisor starts it again on the same ports, and it finishes what it left."""
    one = await victim(app, phone)
    one.killed_at = time.monotonic()
    facts.kill(server.pids()["server"][0])
    await server.next_ready_line()
    await is_recovered(app, one)
    await next_call_works(app)


async def test_a_sealed_recording_outlives_all_processes(
    server: ServerProcess, app: Application, phone: Phone, tmp_path: Path
) -> None:
    """It is finished by who cannot hear it, and says itself that it has no end."""
    await seal(app, tmp_path)
    one = await victim(app, phone)
    one.killed_at = time.monotonic()
    server.kill_all()
    await server.gone()
    await server.start()
    told = await is_recovered(app, one, samples_in)
    assert not opened(await app.fetch(told.body["record_url"])).has_end


async def test_what_is_killed_while_paused(
    server: ServerProcess, app: Application, phone: Phone, tmp_path: Path
) -> None:
    """Plain or sealed: as long as the time that passed, and from the pause on there is silence."""
    async with Application(server) as other, Phone() as second:
        await seal(other, tmp_path)
        both = ((app, phone, decode), (other, second, samples_in))
        victims = [await victim(caller, with_phone) for caller, with_phone, _read in both]
        paused_at = time.monotonic()
        for (caller, _phone, _read), one in zip(both, victims, strict=True):
            await caller.accepted("recording/pause", session=one.session)
        await asyncio.sleep(1.5)  # of speech that must not be kept
        killed_at = time.monotonic()
        server.kill_all()
        await server.gone()
        await server.start()
        for (caller, _phone, read), one in zip(both, victims, strict=True):
            one.killed_at = killed_at
            told = await is_recovered(caller, one, read)
            samples = read(await caller.fetch(told.body["record_url"]))
            paused = samples[round((paused_at - one.beep_ended_at + 0.3) * 8000) :]
            assert len(paused) > 8000
            assert rms_dbfs(paused) < -60
            assert int(told.body["record_absent_ms"]) <= 100
            assert told.body["record_one_way"] == "no"
    await next_call_works(app)


async def test_a_sealed_recording_outlives_its_worker(
    server: ServerProcess, app: Application, phone: Phone, tmp_path: Path
) -> None:
    """The only process that knew the key is gone; what it had heard is not."""
    await seal(app, tmp_path)
    one = await victim(app, phone)
    one.killed_at = time.monotonic()
    facts.kill(server.pids()["worker"][0])
    await is_recovered(app, one, samples_in)
    await room_for_calls(app)


async def test_the_media_worker(server: ServerProcess, app: Application, phone: Phone) -> None:
    """Its calls end, its recordings do not suffer, and a new worker takes the next call."""
    one = await victim(app, phone)
    one.killed_at = time.monotonic()
    facts.kill(server.pids()["worker"][0])
    await is_recovered(app, one)
    # With one worker there is no room until its successor has started.
    await room_for_calls(app)
    await next_call_works(app)


async def test_who_only_writes(server: ServerProcess, app: Application, phone: Phone) -> None:
    """The call goes on without a gap when first the keeper and then the encoder die."""
    call, session = await recording(app, phone)
    beep_ended_at = time.monotonic()
    await call.media.say(tone_code.encode_seconds(0, 2))
    facts.kill(server.pids()["keeper"][0])
    await call.media.say(tone_code.encode_seconds(2, 2))
    facts.kill(facts.encode_child(server))
    await call.media.say(tone_code.encode_seconds(4, 2))
    pressed_at = await call.media.press("#")
    told = await app.told(ivr_block="record")
    assert told.body["record_status"] == "success"
    assert told.body["call_state"] == "ongoing"
    samples = decode(await app.fetch(told.body["record_url"]))
    heard = tone_code.decode_seconds(samples)
    starts_at_ms = heard[0].starts_at_ms if heard else 0
    expected = tone_code.expected_seconds(0, 6, starts_at_ms=starts_at_ms)
    assert tone_code.explain(heard, expected) == []
    assert abs(length_ms(samples) - (pressed_at - beep_ended_at) * 1000) <= 100
    found = await facts.facts_of(app, session)
    assert found.session.state is SessionState.WAITING
    assert [r.end_reason for r in found.recordings] == [EndReason.FINISH_KEY]
    assert len(found.told_of("record")) == 1
    await facts.nothing_is_left_in_the_folders(server)
