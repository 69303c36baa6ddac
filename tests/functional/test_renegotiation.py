"""Hold, resume and a changed codec while a caller is recorded.

```
phone                      server
  |== speech ===============>|
  |-- INVITE (sendonly) ---->|   hold
  |<---- 200 (recvonly) -----|
  |-- INVITE (sendrecv) ---->|   resume
  |== # ====================>|
```
"""

from __future__ import annotations

import asyncio

import pytest

from tests.functional.calls import LENGTH_TOLERANCE_MS, decode, length_ms, recording
from tests.harness import Application
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_hold_and_resume_keep_the_clock(app: Application, phone: Phone) -> None:
    """The server stops sending on hold, goes on after it, and the recording loses no time."""
    call, _session = await recording(app, phone)
    began = asyncio.get_running_loop().time()
    await call.media.say(tone_code.encode_seconds(0, 1))
    call.hold()
    await call.renegotiated()
    # What was on its way when the hold was agreed may still arrive.
    await asyncio.sleep(0.1)
    heard_on_hold = len(call.media.heard)
    await call.media.say(tone_code.encode_seconds(1, 1))
    assert len(call.media.heard) - heard_on_hold <= 2
    call.resume()
    await call.renegotiated()
    await call.media.say(tone_code.encode_seconds(2, 1))
    assert len(call.media.heard) - heard_on_hold > 30
    pressed_at = await call.media.press("#")
    told = await app.told(ivr_block="record")
    samples = decode(await app.fetch(told.body["record_url"]))
    assert abs(length_ms(samples) - (pressed_at - began) * 1000) <= 2 * LENGTH_TOLERANCE_MS
    assert [s.second_index for s in tone_code.decode_seconds(samples)] == [0, 1, 2]
