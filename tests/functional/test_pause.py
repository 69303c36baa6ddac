"""Recordings that are paused and resumed while they go on.

```
phone            server                       application
  |== 0, 1 =========>|                             |
  |                  |<---------- recording/pause -|  nothing is kept from here on
  |== card number ==>|                             |
  |                  |<--------- recording/resume -|
  |== 2, 3, # ======>|-- record ------------------>|  0, 1, silence, 2, 3: each in its time
```
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.crash.facts import nothing_is_left_in_the_folders
from tests.functional.calls import decode, length_ms, recording, waiting_for_a_block
from tests.functional.test_monitor import between, finished, is_silent, monitored
from tests.harness import Application, ServerProcess
from tests.sealing import noise, places_with, samples_in, seal
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.sounds import joined, silence

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIME_TRUE_MS = 20.0
ASKED_MS = 150
"By when a request has certainly been obeyed, on a machine that does other things too."
MARGIN_MS = 600
"Of silence around what must not be recorded; the requests come in its middle."
SECRET_MS = 1200
GOES_ON_MS = 2000 + MARGIN_MS + SECRET_MS + MARGIN_MS


def speech(secret: NDArray[np.int16]) -> NDArray[np.int16]:
    """Two seconds, what must not be recorded, two more seconds."""
    before, after = tone_code.encode_seconds(0, 2), tone_code.encode_seconds(2, 2)
    return joined([before, silence(MARGIN_MS), secret, silence(MARGIN_MS), after])


async def until_spoken(began: float, at_ms: float) -> None:
    """Wait for a moment of what the phone says."""
    await asyncio.sleep(began + at_ms / 1000 - time.monotonic())


async def pause_around(
    app: Application, call: PhoneCall, session: str, secret: NDArray[np.int16]
) -> float:
    """Speak, with the recordings paused around the secret; for how long they were, in ms."""
    began = time.monotonic()
    spoken = call.media.say(speech(secret))
    await until_spoken(began, 2000 + MARGIN_MS / 2)
    paused_at = time.monotonic()
    await app.accepted("recording/pause", session=session)
    await app.accepted("recording/pause", session=session)
    await until_spoken(began, GOES_ON_MS - MARGIN_MS)
    searched = asyncio.create_task(asyncio.to_thread(places_with, app.server, secret))
    await until_spoken(began, GOES_ON_MS - MARGIN_MS / 2)
    resumed_at = time.monotonic()
    await app.accepted("recording/resume", session=session)
    await app.accepted("recording/resume", session=session)
    await spoken
    assert await searched == []
    return (resumed_at - paused_at) * 1000


def complaints(samples: NDArray[np.int16]) -> list[str]:
    """What of 0, 1, silence, 2, 3 is not in its place; the first second says where the rest is."""
    heard = tone_code.decode_seconds(samples)
    first_ms = heard[0].starts_at_ms
    after_ms = first_ms + GOES_ON_MS
    expected = [
        *tone_code.expected_seconds(0, 2, starts_at_ms=first_ms),
        *tone_code.expected_seconds(2, 2, starts_at_ms=after_ms),
    ]
    found = tone_code.explain(heard, expected, TIME_TRUE_MS)
    if not is_silent(between(samples, first_ms + 2100, after_ms - 100)):
        found.append("something is heard of the pause")
    return found


async def test_a_record_and_a_monitor_are_paused(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """
    The secret is in no ring, spool or file, and what was said before and after is in its time.

    Of the monitor both sides are paused: the hold music is heard before and after, not in between.
    The time of the pause is told, and neither as loss nor as silence.
    """
    secret = noise(21, SECRET_MS)
    call, session = await monitored(app, phone)
    began = time.monotonic()
    await app.record(session)
    await call.media.beep_ended()
    paused_ms = await pause_around(app, call, session, secret)
    await call.media.press("#")
    told = (await app.told(ivr_block="record")).body
    samples = decode(await app.fetch(told["record_url"]))
    assert complaints(samples) == []
    assert int(told["record_ms"]) == round(length_ms(samples))
    assert int(told["record_paused_ms"]) == pytest.approx(paused_ms, abs=ASKED_MS)
    assert int(told["record_absent_ms"]) < 100
    assert int(told["record_silence_percent"]) < 30
    assert (told["record_one_way"], told["record_packets_lost"]) == ("no", "0")
    name = told["record_url"].partition("?")[0].rpartition("/")[2]
    health = await app.request("recording/health", recording=name)
    assert health["paused_ms"] == told["record_paused_ms"]

    await app.hold(session)
    await asyncio.sleep(1)  # of music
    await app.accepted("recording/pause", session=session, block="monitor")
    paused_from_ms = (time.monotonic() - began) * 1000
    await asyncio.sleep(1)  # in which it is not recorded
    resumed_ms = (time.monotonic() - began) * 1000
    await app.accepted("recording/resume", session=session, block="monitor")
    await asyncio.sleep(0.5)  # of music again
    call.hang_up()
    whole = await finished(app)
    assert complaints(whole.caller) == []
    assert rms_dbfs(between(whole.heard, paused_from_ms - 700, paused_from_ms - 200)) > -40
    assert is_silent(between(whole.heard, paused_from_ms + ASKED_MS, resumed_ms - ASKED_MS))
    assert rms_dbfs(between(whole.heard, resumed_ms + 200, resumed_ms + 400)) > -40
    assert places_with(server, secret) == []


async def test_a_sealed_record_is_paused(app: Application, phone: Phone, tmp_path: Path) -> None:
    """Who has the key hears the same: silence in the place of the secret, and all else in time."""
    await seal(app, tmp_path)
    call, session = await recording(app, phone)
    paused_ms = await pause_around(app, call, session, noise(22, SECRET_MS))
    call.hang_up()
    told = (await app.told(ivr_block="record")).body
    samples = samples_in(await app.fetch(told["record_url"]))
    assert complaints(samples) == []
    assert int(told["record_ms"]) == round(length_ms(samples))
    assert int(told["record_paused_ms"]) == pytest.approx(paused_ms, abs=ASKED_MS)
    assert int(told["record_absent_ms"]) < 100
    assert told["record_one_way"] == "no"
    await nothing_is_left_in_the_folders(app.server)


async def test_a_pause_is_no_silence_that_ends_a_recording(app: Application, phone: Phone) -> None:
    """`max_silence` counts what was silent before and after it, and a limit counts all of it."""
    call, session = await recording(app, phone, max_silence="1", max_duration="3")
    await call.media.say(tone_code.encode_seconds(0, 1))
    await app.accepted("recording/pause", session=session)
    told = (await app.told(ivr_block="record", record_status="success")).body
    assert told["record_end"] == "max_duration"
    assert int(told["record_ms"]) == 3000
    assert int(told["record_paused_ms"]) > 1500
    await app.record(session, max_silence="1", tag="again")
    await call.media.beep_ended()
    await app.accepted("recording/pause", session=session, block="record")
    await app.accepted("recording/resume", session=session, block="record")
    told = (await app.told(ivr_block="record", tag="again")).body
    assert told["record_end"] == "max_silence"


async def test_what_cannot_be_paused(app: Application, phone: Phone) -> None:
    """Each status of the two requests, and that a monitor alone is no record."""
    assert await status_of(app, "S-1-nobody") == "error_invalid_session"
    call, session = await waiting_for_a_block(app, phone)
    assert await status_of(app, session) == "error_session_not_recording"
    await app.monitor(session)
    await app.told(ivr_block="monitor", call_state="ongoing")
    assert await status_of(app, session, block="record") == "error_session_not_recording"
    assert await status_of(app, session, block="hold") == "error_block_invalid"
    assert await status_of(app, session, block="monitor") == "success_ok"
    async with Application(app.server) as other:
        assert await status_of(other, session) == "error_session_access_denied"
    call.hang_up()
    await app.told(call_state="ended")
    assert await status_of(app, session) == "error_session_ended"


async def status_of(app: Application, session: str, **parameters: str) -> str:
    """What both requests say, which must be the same."""
    found = {
        (await app.request(f"recording/{what}", session=session, **parameters))["status"]
        for what in ("pause", "resume")
    }
    (status,) = found
    return str(status)
