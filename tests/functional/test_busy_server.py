"""A recording is true to the clock also where the control process is busy with something else.

The media worker plays the beep; what follows it, and what a BYE means, the control process says.
Whatever that does meanwhile (here: nothing at all, it is stopped), the caller does not wait.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.functional.calls import LENGTH_TOLERANCE_MS, decode, length_ms, ringing
from tests.harness import Application, ServerProcess
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUSY_S = 0.4


@asynccontextmanager
async def stopped(server: ServerProcess) -> AsyncIterator[None]:
    """Stop the control process until the context is left, and then for `BUSY_S` more."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
        # This is what is tested: time that passes for the caller and not for the process.
        await asyncio.sleep(BUSY_S)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


async def test_the_first_word_is_there(server: ServerProcess) -> None:
    """Stopped from the prompt's middle to 0.4 s after the beep: nothing said since is missing."""
    code = tone_code.encode_seconds(0, 3)
    async with Application(server) as app, Phone() as phone:
        call, session = await ringing(app, phone)
        await app.record(session, msg="Please speak now.")
        await call.answered()
        async with asyncio.timeout(5):
            await call.media.talking.wait()
        # The whole prompt is with the media worker.
        async with stopped(server), asyncio.timeout(10):
            began = await call.media.beep_ended()
            spoken = call.media.say(code)
        await spoken
        pressed_at = await call.media.press("#")
        told = await app.told(ivr_block="record")
        samples = decode(await app.fetch(told.body["record_url"]))
    assert abs(length_ms(samples) - (pressed_at - began) * 1000) <= LENGTH_TOLERANCE_MS
    heard = tone_code.decode_seconds(samples)
    assert heard[0].starts_at_ms <= 2 * LENGTH_TOLERANCE_MS
    expected = tone_code.expected_seconds(0, 3, starts_at_ms=heard[0].starts_at_ms)
    assert tone_code.explain(heard, expected) == []


async def test_it_ends_where_the_caller_hung_up(server: ServerProcess) -> None:
    """The BYE waits 0.4 s until it is read: the recording, and the call, end where it came."""
    async with Application(server) as app, Phone() as phone:
        call, session = await ringing(app, phone)
        await app.record(session)
        await call.answered()
        began = await call.media.beep_ended()
        await call.media.say(tone_code.encode_seconds(0, 2))
        async with stopped(server):
            hung_up_at = asyncio.get_running_loop().time()
            call.hang_up()
        told = await app.told(ivr_block="record")
        samples = decode(await app.fetch(told.body["record_url"]))
    assert told.body["record_end"] == "hangup"
    assert abs(length_ms(samples) - (hung_up_at - began) * 1000) <= LENGTH_TOLERANCE_MS
    assert [second.second_index for second in tone_code.decode_seconds(samples)] == [0, 1]
