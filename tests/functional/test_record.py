"""Record: the main job, over real SIP and RTP sockets.

```
phone            server                     application
  |-- INVITE ----->|                             |
  |<---- 180 ------|-- answer (ringing) -------->|
  |                |<------- ivr/middle/record --|
  |<---- 200 ------|                             |
  |-- ACK -------->|                             |
  |<== prompt, beep ==|                          |
  |== speech ========>|                          |
  |== # =============>|-- record (ongoing) ----->|
  |                |<------- ivr/end/hangup -----|
  |<---- BYE ------|-- hangup (ended) ---------->|
```
"""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
import soundfile

from tests.harness import Application
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone, PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")

LENGTH_TOLERANCE_MS = 20
SAMPLES_PER_MS = 8


async def recording_begins(app: Application, phone: Phone, **parameters: str) -> PhoneCall:
    """Call, let the application record, and return when the beep has ended."""
    call = await phone.call(app.sip())
    answer = await app.told(ivr_block="answer")
    await app.record(answer.body["session"], **parameters)
    await call.answered()
    await call.media.beep_ended()
    return call


async def test_a_caller_is_recorded_until_the_finish_key(app: Application, phone: Phone) -> None:
    """The whole main job: what the caller said is in the MP3, from the beep to the `#`."""
    call = await phone.call(app.sip())
    answer = await app.told(ivr_block="answer")
    assert answer.body["call_state"] == "ringing"
    assert answer.body["from"] == phone.number
    assert answer.body["to"] == app.number
    session = answer.body["session"]
    await app.record(session, msg="Please speak now.", tag="first")
    await call.answered()
    beep_ended_at = await call.media.beep_ended()
    await call.media.say(tone_code.encode_seconds(0, 5))
    pressed_at = await call.media.press("#")
    told = await app.told(ivr_block="record")
    assert told.body["record_status"] == "success"
    assert told.body["call_state"] == "ongoing"
    assert told.body["tag"] == "first"
    assert told.verify_signature(app.access_token)
    mp3 = await app.fetch(told.body["record_url"])
    samples, rate_hz = soundfile.read(io.BytesIO(mp3), dtype="int16")
    assert rate_hz == 8000
    lasted_ms = (pressed_at - beep_ended_at) * 1000
    assert abs(len(samples) / SAMPLES_PER_MS - lasted_ms) <= LENGTH_TOLERANCE_MS
    heard = tone_code.decode_seconds(np.asarray(samples))
    assert [second.second_index for second in heard] == [0, 1, 2, 3, 4]
    status = await app.block("ivr/end/hangup", session, notify_url=app.url("/bye"))
    assert status == "success_ok"
    ended = await app.told(ivr_block="hangup")
    assert ended.body["call_state"] == "ended"
    assert ended.body["duration"] == "1"
    await asyncio.wait_for(call.ended(), 5)
