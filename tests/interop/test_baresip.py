"""A real phone, baresip, leaves a message and ends it with the `#` key; and it is called."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import soundfile

from tests.harness import Application
from tests.interop import audio
from tests.interop.baresip import NUMBER, Baresip
from voiceblocks.testing import tone_code

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

SPEECH_S = 30
MESSAGE_S = 3
START_TOLERANCE_MS = 400.0
"How well baresip's events, our clock and its audio thread agree on when it began to speak."


async def test_a_phone_leaves_a_message(app: Application, tmp_path: Path) -> None:
    """What the phone spoke from the beep to the key is in the MP3, and our BYE ends the call.

    ```
    baresip          server                     application
      |-- INVITE ----->|                             |
      |<--- 100, 180 --|-- answer (ringing) -------->|
      |                |<------- ivr/middle/record --|
      |<---- 200 ------|                             |
      |-- ACK -------->|                             |
      |== speech =========>|                         |
      |<== prompt, beep ===|                         |
      |== RFC 4733 # =====>|-- record (ongoing) ---->|
      |                |<------- ivr/end/hangup -----|
      |<---- BYE ------|-- hangup (ended) ---------->|
      |---- 200 ------>|                             |
    ```
    """
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, tone_code.encode_seconds(0, SPEECH_S), audio.RATE_HZ, "PCM_16")
    async with Baresip(tmp_path, speech) as phone:
        await phone.command("dial", app.sip())
        answer = await app.told(ivr_block="answer")
        assert answer.body["from"] == NUMBER
        session = answer.body["session"]
        await app.record(session, msg="Please speak now.")
        established = await phone.event("CALL_ESTABLISHED")
        await phone.heard_beep()
        await asyncio.sleep(MESSAGE_S)  # Time passes because a person speaks.
        await phone.command("sndcode", "#")
        pressed_at = asyncio.get_running_loop().time()
        told = await app.told(ivr_block="record")
        assert told.body["record_status"] == "success"
        assert told.body["call_state"] == "ongoing"
        assert await app.block("ivr/end/hangup", session, notify_url=app.url()) == "success_ok"
        ended = await app.told(ivr_block="hangup")
        assert ended.body["call_state"] == "ended"
        await phone.event("CALL_CLOSED")
    mp3 = await app.fetch(told.body["record_url"])
    heard = audio.seconds_in_place(mp3)
    assert len(heard) >= MESSAGE_S - 2
    began_at_ms = heard[0].second_index * 1000 - heard[0].starts_at_ms
    spoken_ms = (pressed_at - established["at"]) * 1000 - began_at_ms
    assert abs(audio.length_ms(mp3) - spoken_ms) <= START_TOLERANCE_MS
    assert audio.length_ms(mp3) >= MESSAGE_S * 1000 - START_TOLERANCE_MS


async def is_called(app: Application, phone: Baresip, trunk: str) -> str:
    """The phone rings for a dialled call, over a trunk that is the phone; returns the session."""
    await app.server.add_trunk(trunk, phone.address, prefix=(NUMBER,))
    await app.allow(NUMBER)
    session: str = (await app.dial(NUMBER))["session"]
    await phone.event("CALL_INCOMING")
    return session


async def test_a_phone_is_called(app: Application, tmp_path: Path) -> None:
    """It rings, picks up, is recorded up to its key, and hangs up: both directions of audio work.

    ```
    application                    server                    baresip
      |-- ivr/start/dial ----------->|-- INVITE --------------->|
      |                              |<-------- 180, 200 -------|
      |<- dial (ongoing, answered) --|-- ACK ------------------>|
      |-- ivr/middle/record -------->|== beep =================>|
      |                              |<=== speech, RFC 4733 # ==|
      |<- record (ongoing) ----------|<------------- BYE -------|
      |<- record (ended) ------------|-- 200 ------------------>|
    ```
    """
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, tone_code.encode_seconds(0, SPEECH_S), audio.RATE_HZ, "PCM_16")
    async with Baresip(tmp_path, speech, codecs="PCMA") as phone:
        session = await is_called(app, phone, "answers")
        await phone.command("accept")
        told = await app.told(ivr_block="dial")
        assert (told.body["dial_status"], told.body["call_state"]) == ("answered", "ongoing")
        await phone.event("CALL_ESTABLISHED")
        await app.record(session)
        await phone.heard_beep()
        await asyncio.sleep(MESSAGE_S)  # Time passes because a person speaks.
        await phone.command("sndcode", "#")
        told = await app.told(ivr_block="record")
        assert (told.body["record_status"], told.body["call_state"]) == ("success", "ongoing")
        await phone.command("hangup")
        ended = await app.told(call_state="ended")
        assert (ended.body["ivr_block"], ended.body["duration"]) == ("record", "1")
    mp3 = await app.fetch(told.body["record_url"])
    assert len(audio.seconds_in_place(mp3)) >= MESSAGE_S - 2
    assert audio.length_ms(mp3) >= MESSAGE_S * 1000 - START_TOLERANCE_MS


async def test_a_phone_declines(app: Application, tmp_path: Path) -> None:
    """Its owner presses the red key: busy, one notification, nothing to pay."""
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, tone_code.encode_seconds(0, 1), audio.RATE_HZ, "PCM_16")
    async with Baresip(tmp_path, speech) as phone:
        await is_called(app, phone, "declines")
        await phone.command("hangup")
        told = await app.told(ivr_block="dial")
        assert (told.body["call_state"], told.body["dial_status"]) == ("ended", "busy")
        assert told.body["debit"] == "0.000"
