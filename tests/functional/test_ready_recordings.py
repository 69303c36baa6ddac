"""Ready means ready, what is told of a recording, and the extensions of record.

```
phone            server                                    application
  |== speech, # ====>|  encode, store, read back, compare        |
  |                  |-- record (link, size, hash, health) ----->|
  |                  |<-- GET link, inside the handler ----------|
  |                  |-- 200, those bytes ---------------------->|
```
"""

from __future__ import annotations

import asyncio
import hashlib
import io

import aiohttp
import numpy as np
import pytest
import soundfile

from tests.functional.calls import decode, length_ms, recording, ringing
from tests.harness import Application
from voiceblocks.testing import tone_code
from voiceblocks.testing.impairments import Impairments
from voiceblocks.testing.keypad import keypad, keys_heard
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.sounds import joined, silence
from voiceblocks.testing.speakers import voice, who_is_heard
from voiceblocks.testing.webhook_sink import ReceivedNotification

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_receiver_that_fetches_inside_its_handler_gets_it(
    app: Application, phone: Phone
) -> None:
    """The link is good before the notification is answered; size, length and hash are as told."""
    fetched: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    async def fetch(told: ReceivedNotification) -> None:
        if told.body.get("ivr_block") == "record":
            async with aiohttp.ClientSession() as http, http.get(told.body["record_url"]) as got:
                fetched.set_result((got.status, await got.read()))

    app.sink.on_notification = fetch
    call, _session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 3))
    await call.media.press("#")
    told = (await app.told(ivr_block="record")).body
    status, mp3 = await asyncio.wait_for(fetched, 5)
    assert status == 200
    assert told["record_bytes"] == str(len(mp3))
    assert told["record_sha256"] == hashlib.sha256(mp3).hexdigest()
    assert int(told["record_ms"]) == round(length_ms(decode(mp3)))
    assert told["record_end"] == "finish_key"
    assert int(told["record_packets_received"]) >= 150
    assert int(told["record_packets_expected"]) - int(told["record_packets_received"]) == int(
        told["record_packets_lost"]
    )
    assert told["record_one_way"] == "no"
    assert -30 < float(told["record_level_dbfs"]) < -5
    assert int(told["record_silence_percent"]) < 20


async def test_a_caller_of_whom_nothing_comes_is_seen(app: Application, phone: Phone) -> None:
    """One-way audio: the call is up, but no packet of the caller's arrives."""
    _call, session = await ringing(app, phone, impairments=Impairments(lose=[True]))
    await app.record(session, max_duration="2")
    told = (await app.told(ivr_block="record")).body
    assert told["record_end"] == "max_duration"
    assert told["record_one_way"] == "yes"
    assert int(told["record_absent_ms"]) >= 1900
    assert told["record_silence_percent"] == "100"


async def test_a_key_by_info_whose_tone_is_heard_too_is_cut_off(app: Application) -> None:
    """A phone that plays the tone and sends INFO when the key is released: no tone is left."""
    async with Phone() as phone:
        call, _session = await recording(app, phone)
        await call.media.say(joined([voice(3, 2000), keypad("#", on_ms=300, off_ms=0)]))
        call.send_info("#", duration_ms=300)
        told = (await app.told(ivr_block="record")).body
        samples = decode(await app.fetch(told["record_url"]))
    assert keys_heard(samples) == ""
    (passage,) = who_is_heard(samples)
    assert 1970 <= passage.lasts_ms <= 2010
    assert length_ms(samples) <= passage.from_ms + 2020


async def test_all_extensions_together(app: Application, phone: Phone) -> None:
    """A WAV without a beep before it, ended by `*`, without the silence at either end."""
    call, session = await ringing(app, phone)
    await app.record(session, format="wav", beep="no", finish_key="*0", trim="silence")
    await call.answered()
    await call.media.say(joined([silence(1200), voice(2, 1000), silence(1500)]))
    await call.media.press("#")
    await call.media.press("*")
    told = (await app.told(ivr_block="record")).body
    assert told["record_end"] == "finish_key"
    assert told["record_url"].partition("?")[0].endswith(".wav")
    samples, rate_hz = soundfile.read(
        io.BytesIO(await app.fetch(told["record_url"])), dtype="int16"
    )
    assert rate_hz == 8000
    assert call.media.beeps_heard == 0
    (passage,) = who_is_heard(np.asarray(samples, np.int16))
    assert passage.speaker == 2
    assert 150 <= passage.from_ms <= 250
    assert 1340 <= length_ms(samples) <= 1460


async def test_silence_ends_a_recording(app: Application, phone: Phone) -> None:
    """A pause that is shorter does not; the end lies exactly so long after the last word."""
    call, session = await recording(app, phone, max_silence="2")
    await call.media.say(joined([voice(1, 1000), silence(1500), voice(2, 1000)]))
    told = (await app.told(ivr_block="record")).body
    assert told["record_end"] == "max_silence"
    assert told["call_state"] == "ongoing"
    samples = decode(await app.fetch(told["record_url"]))
    first, second = who_is_heard(samples)
    assert (first.speaker, second.speaker) == (1, 2)
    assert abs(length_ms(samples) - second.to_ms - 2000) <= 30
    await app.hang_up(session)


async def test_keys_are_silenced_where_the_application_wants_it(app: Application) -> None:
    """A PIN that is typed as tones is not in the recording; what was said around it is."""
    await app.server.cli("app", "set", app.app_id, silence_keys=True)
    async with Phone(telephone_event=False) as phone:
        call, _session = await recording(app, phone)
        await call.media.say(joined([voice(1, 1000), keypad("4711", on_ms=100, off_ms=80)]))
        await call.media.say(joined([silence(200), voice(2, 1000), keypad("#", on_ms=120)]))
        told = (await app.told(ivr_block="record")).body
        samples = decode(await app.fetch(told["record_url"]))
    assert keys_heard(samples) == ""
    assert [passage.speaker for passage in who_is_heard(samples)] == [1, 2]
