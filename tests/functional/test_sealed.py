"""Sealed recordings, from the phone to who has the private key.

```
phone            server                                    application
  |== speech, # ====>|  each packet is a box in the ring         |
  |                  |-- record (link, size, hash, length) ----->|
  |                  |<-- GET link ------------------------------|
  |                  |-- 200, the boxes as they were sealed ---->|  voiceblocks unseal
```
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.crash.facts import nothing_is_left_in_the_folders
from tests.functional.calls import decode, length_ms, recording, waiting_for_a_block
from tests.harness import Application, ServerProcess
from tests.sealing import PRIVATE_HEX, noise, opened, places_with, samples_in, seal
from voiceblocks.testing import tone_code
from voiceblocks.testing.keypad import keypad, keys_heard
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.sounds import joined

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_was_said_is_heard_by_who_has_the_key(
    app: Application, phone: Phone, tmp_path: Path
) -> None:
    """All tones are in the WAV of `voiceblocks unseal`; all that is told of the file is true."""
    await seal(app, tmp_path)
    call, _session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 3))
    await call.media.press("#")
    told = (await app.told(ivr_block="record")).body
    assert told["record_status"] == "success"
    assert told["record_url"].partition("?")[0].endswith(".sealed")
    async with app.http.get(told["record_url"]) as reply:
        content_type, data = reply.content_type, await reply.read()
    assert content_type == "application/vnd.voiceblocks.sealed"
    assert told["record_bytes"] == str(len(data))
    assert told["record_sha256"] == hashlib.sha256(data).hexdigest()
    assert told["record_end"] == "finish_key"
    assert told["record_packets_lost"] == "0"
    assert told["record_one_way"] == "no"
    assert "record_level_dbfs" not in told
    assert "record_silence_percent" not in told

    file, key = tmp_path / "rec.sealed", tmp_path / "private.hex"
    file.write_bytes(data)
    key.write_text(PRIVATE_HEX)
    said = await app.server.cli("unseal", str(file), key=str(key))
    assert said["complete"] is True
    samples = decode(await asyncio.to_thread(Path(said["file"]).read_bytes))
    heard = tone_code.decode_seconds(samples)
    expected = tone_code.expected_seconds(0, 3, starts_at_ms=heard[0].starts_at_ms)
    assert tone_code.explain(heard, expected) == []
    assert int(told["record_ms"]) == said["ms"] == round(length_ms(samples))
    await nothing_is_left_in_the_folders(app.server)


async def test_plain_audio_is_nowhere_on_disk_nor_in_the_rings(
    server: ServerProcess, app: Application, phone: Phone, tmp_path: Path
) -> None:
    """Neither while it is recorded nor after; the search does find a recording without a seal."""
    said = noise(1, 2000)
    call, session = await recording(app, phone)
    await call.media.say(said)
    assert places_with(server, said), "the search is blind"
    await call.media.press("#")
    await app.told(ivr_block="record")

    await seal(app, tmp_path)
    said = noise(2, 2000)
    await app.record(session, tag="sealed")
    await call.media.beep_ended()
    await call.media.say(said)
    assert places_with(server, said) == []
    await call.media.press("#")
    told = (await app.told(ivr_block="record", tag="sealed")).body
    assert places_with(server, said) == []
    assert len(samples_in(await app.fetch(told["record_url"]))) >= 15_000
    assert places_with(server, said) == []


async def test_a_finishing_tone_is_behind_the_end(app: Application, tmp_path: Path) -> None:
    """A key that comes as a tone was sealed before it was understood: it is not given out."""
    await seal(app, tmp_path)
    async with Phone(telephone_event=False) as phone:
        call, _session = await recording(app, phone)
        await call.media.say(joined([noise(3, 1000), keypad("#", on_ms=120)]))
        told = (await app.told(ivr_block="record")).body
        samples = samples_in(await app.fetch(told["record_url"]))
    assert told["record_end"] == "finish_key"
    assert keys_heard(samples) == ""
    assert abs(length_ms(samples) - 1000) <= 60


async def test_an_end_at_once_is_a_recording_too(
    app: Application, phone: Phone, tmp_path: Path
) -> None:
    """The shortest that there is can be opened."""
    await seal(app, tmp_path)
    call, _session = await recording(app, phone)
    await call.media.press("#")
    told = (await app.told(ivr_block="record")).body
    assert told["record_status"] == "success"
    assert opened(await app.fetch(told["record_url"])).has_end


async def test_what_needs_to_hear_is_refused(
    app: Application, phone: Phone, tmp_path: Path
) -> None:
    """`error_recording_sealed`: nothing is promised that a sealed recording cannot have."""
    _call, session = await waiting_for_a_block(app, phone)
    await seal(app, tmp_path)
    url = app.url("/told")
    for asked in ({"format": "wav"}, {"trim": "silence"}, {"max_silence": "3"}):
        status = await app.block("ivr/middle/record", session, notify_url=url, **asked)
        assert status == "error_recording_sealed"
    status = await app.block("ivr/middle/monitor", session, notify_url=url)
    assert status == "error_recording_sealed"
    await app.server.cli("app", "set", app.app_id, seal_with="none")
    status = await app.block("ivr/middle/monitor", session, notify_url=url)
    assert status == "success_ok"
