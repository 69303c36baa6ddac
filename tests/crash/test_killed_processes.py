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
import time

import pytest

from tests.crash import facts
from tests.crash.victims import is_recovered, victim
from tests.functional.calls import decode, length_ms, recording
from tests.harness import Application, ServerProcess
from voiceblocks.calls.events import EndReason
from voiceblocks.sessions.state import SessionState
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import CallNotAnswered, Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def next_call_works(app: Application) -> None:
    """A fresh caller is recorded as if nothing had happened."""
    async with Phone() as phone:
        call, _session = await recording(app, phone, tag="after")
        await call.media.say(tone_code.encode_seconds(9, 1))
        await call.media.press("#")
        told = await app.told(ivr_block="record", tag="after")
        assert told.body["record_status"] == "success"
        samples = decode(await app.fetch(told.body["record_url"]))
        assert [s.second_index for s in tone_code.decode_seconds(samples)] == [9]


async def room_for_calls(app: Application) -> None:
    """Call until a call rings: before, it is refused with 503 and may be tried again."""
    async with asyncio.timeout(15), Phone() as phone:
        while True:
            call = await phone.call(app.sip())
            await call.ringing()
            if call.end_cause is None:
                await app.told(call_state="ringing")
                call.hang_up()
                await app.told(call_state="ended")
                return
            with pytest.raises(CallNotAnswered, match="503"):
                await call.answered()
            await asyncio.sleep(0.2)


async def test_all_processes_at_once(server: ServerProcess, app: Application, phone: Phone) -> None:
    """`kill -9` of the whole tree, supervisor first; a new server finishes what it left."""
    one = await victim(app, phone)
    pids = [pid for found in server.pids().values() for pid in found]
    one.killed_at = time.monotonic()
    server.kill_all()
    await server.gone()
    await facts.until(lambda: not any(facts.is_alive(pid) for pid in pids))
    await server.start()
    await is_recovered(app, one)
    await next_call_works(app)


async def test_the_supervisor_alone(server: ServerProcess, app: Application, phone: Phone) -> None:
    """The kernel takes all the others with it, so that a new server finds free ports."""
    one = await victim(app, phone)
    pids = [pid for found in server.pids().values() for pid in found]
    one.killed_at = time.monotonic()
    facts.kill(server.pids()["supervisor"][0])
    await server.gone()
    await facts.until(lambda: not any(facts.is_alive(pid) for pid in pids))
    await server.start()
    await is_recovered(app, one)


async def test_the_control_process(server: ServerProcess, app: Application, phone: Phone) -> None:
    """The supervisor starts it again on the same ports, and it finishes what it left."""
    one = await victim(app, phone)
    one.killed_at = time.monotonic()
    facts.kill(server.pids()["server"][0])
    await server.next_ready_line()
    await is_recovered(app, one)
    await next_call_works(app)


async def test_the_media_worker(server: ServerProcess, app: Application, phone: Phone) -> None:
    """Its calls end, its recordings do not suffer, and a new worker takes the next call."""
    one = await victim(app, phone)
    one.killed_at = time.monotonic()
    facts.kill(server.pids()["worker"][0])
    await is_recovered(app, one)
    # With one worker there is no room until its successor has started.
    await room_for_calls(app)
    await next_call_works(app)


@pytest.mark.parametrize("who", ["keeper", "encode"])
async def test_who_only_writes(
    server: ServerProcess, app: Application, phone: Phone, who: str
) -> None:
    """The call goes on without a gap, whichever of the two that write files dies."""
    call, session = await recording(app, phone, tag="crash")
    beep_ended_at = time.monotonic()
    call.media.say(tone_code.encode_seconds(0, 2))
    await call.media.say(tone_code.encode_seconds(2, 1)[: 8 * 500])
    facts.kill(facts.encode_child(server) if who == "encode" else server.pids()["keeper"][0])
    await call.media.say(tone_code.encode_seconds(3, 4))
    pressed_at = await call.media.press("#")
    told = await app.told(ivr_block="record")
    assert told.body["record_status"] == "success"
    assert told.body["call_state"] == "ongoing"
    samples = decode(await app.fetch(told.body["record_url"]))
    heard = tone_code.decode_seconds(samples)
    assert [second.second_index for second in heard] == [0, 1, 2, 3, 4, 5, 6]
    begins = [second.starts_at_ms for second in heard if second.second_index != 2]
    offsets = [at - 1000.0 * n for n, at in zip((0, 1, 2.5, 3.5, 4.5, 5.5), begins, strict=True)]
    assert max(offsets) - min(offsets) < 25
    assert abs(length_ms(samples) - (pressed_at - beep_ended_at) * 1000) <= 100
    found = await facts.facts_of(app, session)
    assert found.session.state is SessionState.WAITING
    assert [r.end_reason for r in found.recordings] == [EndReason.FINISH_KEY]
    assert len(found.told_of("record")) == 1
    await facts.nothing_is_left_in_the_folders(server)
