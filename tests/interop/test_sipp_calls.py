"""SIPp places whole calls: recorded over UDP and TCP, PCMU and PCMA; cancelled.

```
sipp             server                     application
  |-- INVITE ----->|                             |
  |<--- 100, 180 --|-- answer (ringing) -------->|
  |                |<------- ivr/middle/record --|
  |<---- 200 ------|                             |
  |-- ACK -------->|                             |
  |== speech ========>|  2 s (max_duration)      |
  |                |-- record (ongoing) -------->|
  |                |<------- ivr/end/hangup -----|
  |<---- BYE ------|-- hangup (ended) ---------->|
  |---- 200 ------>|                             |
```
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Application
from tests.interop import audio
from tests.interop.peers import Sipp, nothing_more
from voiceblocks.audio.g711 import alaw_encode, ulaw_encode
from voiceblocks.testing import tone_code

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

SPOKEN_S = 20
RECORD_S = 2
ENCODE = {"PCMU": ulaw_encode, "PCMA": alaw_encode}
PAYLOAD_TYPES = {"PCMU": "0", "PCMA": "8"}


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        pytest.param("PCMU", ("-t", "u1"), id="udp-pcmu"),
        pytest.param("PCMA", ("-t", "u1"), id="udp-pcma"),
        pytest.param("PCMU", ("-t", "t1"), id="tcp-pcmu"),
    ],
)
async def test_sipp_is_recorded_and_hung_up(
    app: Application, tmp_path: Path, codec: str, options: tuple[str, ...]
) -> None:
    """The main job with a foreign caller: each second of what SIPp spoke is in its place."""
    speech = ENCODE[codec](tone_code.encode_seconds(0, SPOKEN_S))
    (tmp_path / "speech.g711").write_bytes(speech.tobytes())
    fill = {"CODEC": codec, "PAYLOAD": PAYLOAD_TYPES[codec]}
    target = app.server.sip
    async with Sipp("record_call", target, app.number, tmp_path, options, fill) as sipp:
        answer = await app.told(ivr_block="answer")
        assert answer.body["call_state"] == "ringing"
        assert answer.body["from"] == "+6591234567"
        assert answer.body["to"] == app.number
        session = answer.body["session"]
        await app.record(session, msg="Speak.", max_duration=str(RECORD_S))
        told = await app.told(ivr_block="record")
        assert told.body["record_status"] == "success"
        assert told.body["call_state"] == "ongoing"
        assert await app.block("ivr/end/hangup", session, notify_url=app.url()) == "success_ok"
        ended = await app.told(ivr_block="hangup")
        assert ended.body["call_state"] == "ended"
        await sipp.passed()
    assert sipp.sequence() == [
        "-> INVITE",
        "<- 100 INVITE",
        "<- 180 INVITE",
        "<- 200 INVITE",
        "-> ACK",
        "<- BYE",
        "-> 200 BYE",
    ]
    mp3 = await app.fetch(told.body["record_url"])
    assert abs(audio.length_ms(mp3) - RECORD_S * 1000) <= audio.PLACE_TOLERANCE_MS
    assert len(audio.seconds_in_place(mp3)) >= 1


async def test_a_caller_who_cancels_while_ringing(app: Application, tmp_path: Path) -> None:
    """CANCEL gets 200, the INVITE 487, and the application one word: ended, free of charge.

    ```
    sipp             server                     application
      |-- INVITE ----->|                             |
      |<--- 100, 180 --|-- answer (ringing) -------->|
      |-- CANCEL ----->|                             |
      |<- 200, 487 ----|-- answer (ended) ---------->|
      |-- ACK -------->|                             |
    ```
    """
    async with Sipp("cancel_while_ringing", app.server.sip, app.number, tmp_path) as sipp:
        ringing = await app.told(ivr_block="answer", call_state="ringing")
        ended = await app.told(call_state="ended")
        await sipp.passed()
    assert ended.body["session"] == ringing.body["session"]
    assert ended.body["ivr_block"] == "answer"
    assert ended.body["duration"] == "0"
    assert ended.body["debit"] == "0.000"
    assert sipp.sequence() == [
        "-> INVITE",
        "<- 100 INVITE",
        "<- 180 INVITE",
        "-> CANCEL",
        "<- 200 CANCEL",
        "<- 487 INVITE",
        "-> ACK",
    ]
    refused = await app.block("ivr/middle/record", ringing.body["session"], notify_url=app.url())
    assert refused == "error_session_ended"
    await nothing_more(app)
