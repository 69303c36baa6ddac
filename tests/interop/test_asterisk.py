"""Asterisk 22 dials us as a PBX does, leaves a message and ends it with the `#` key."""

from __future__ import annotations

import pytest
import soundfile

from tests.harness import Application
from tests.interop import audio
from tests.interop.asterisk_phone import AsteriskPhone
from voiceblocks.testing import tone_code

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

SPEECH_S = 6
PAUSES_MS = 400.0
"""Asterisk paces its file by itself. On a busy machine it falls behind, does not catch up, and
jumps ahead in its timestamps where it lost 80 ms or more: the recording shows that truly."""
DIGIT_TOLERANCE_MS = 400.0
"How long Asterisk takes from the end of its file to the digit."


async def test_asterisk_leaves_a_message(
    app: Application, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What Asterisk played from the beep to its digit is in the MP3; it heard prompt and beep.

    ```
    asterisk         server                     application
      |-- INVITE ----->|                             |
      |<--- 100, 180 --|-- answer (ringing) -------->|
      |                |<------- ivr/middle/record --|
      |<---- 200 ------|                             |
      |-- ACK -------->|                             |
      |== 6 s of speech ==>|                         |
      |<== prompt, beep ===|                         |
      |== RFC 4733 # =====>|-- record (ongoing) ---->|
      |                |<------- ivr/end/hangup -----|
      |<---- BYE ------|-- hangup (ended) ---------->|
      |---- 200 ------>|                             |
    ```
    """
    # Asterisk's control socket lies in it, so its path must be short.
    folder = tmp_path_factory.mktemp("pbx")
    spoken = tone_code.encode_seconds(0, SPEECH_S)
    soundfile.write(folder / "speech.wav", spoken, audio.RATE_HZ, "PCM_16")
    async with AsteriskPhone(folder) as phone:
        await phone.dial(app.sip())
        answer = await app.told(ivr_block="answer")
        assert answer.body["from"] == "+6591234567"
        session = answer.body["session"]
        await app.record(session, msg="Speak.")
        told = await app.told(ivr_block="record")
        assert told.body["record_status"] == "success", phone.log()
        assert told.body["call_state"] == "ongoing"
        assert await app.block("ivr/end/hangup", session, notify_url=app.url()) == "success_ok"
        ended = await app.told(ivr_block="hangup")
        assert ended.body["call_state"] == "ended"
        await phone.hung_up()
    mp3 = await app.fetch(told.body["record_url"])
    heard = audio.seconds_in_place(mp3, pauses_ms=PAUSES_MS)
    assert heard[-1].second_index == SPEECH_S - 1
    assert len(heard) >= SPEECH_S - 3
    speech_ended_at_ms = heard[-1].starts_at_ms + 1000
    assert abs(audio.length_ms(mp3) - speech_ended_at_ms) <= DIGIT_TOLERANCE_MS
    samples, rate_hz = soundfile.read(folder / "heard.wav", dtype="int16")
    assert rate_hz == audio.RATE_HZ
    assert audio.beep_ended(samples)
