"""SIPp places whole calls: recorded over UDP and TCP, PCMU and PCMA; cancelled; never ACKed.

```
sipp             server                     application
  |-- INVITE ----->|                             |
  |<--- 100, 180 --|-- answer (ringing) -------->|
  |                |<------- ivr/middle/record --|
  |<---- 200 ------|                             |
  |-- ACK -------->|                             |
  |== speech ========>|  3 s (max_duration)      |
  |                |-- record (ongoing) -------->|
  |                |<------- ivr/end/hangup -----|
  |<---- BYE ------|-- hangup (ended) ---------->|
  |---- 200 ------>|                             |
```
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import Application, ServerProcess
from tests.interop import audio
from tests.interop.peers import Sipp
from voiceblocks.audio.g711 import alaw_encode, ulaw_encode
from voiceblocks.testing import tone_code
from voiceblocks.testing.webhook_sink import ReceivedNotification

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

SPOKEN_S = 20
RECORD_S = 3
T1_S = 0.5
ENCODE = {"PCMU": ulaw_encode, "PCMA": alaw_encode}
PAYLOAD_TYPES = {"PCMU": "0", "PCMA": "8"}


async def nothing_more(app: Application, limit_s: float = 1.0) -> None:
    """Every notification was read already, and none comes."""
    with pytest.raises(TimeoutError):
        await app.sink.next(limit_s)


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def never_acknowledged(
    server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[asyncio.Task[tuple[Sipp, ReceivedNotification]]]:
    """A call without an ACK lives for half a minute: it begins first and is judged last."""

    async def place() -> tuple[Sipp, ReceivedNotification]:
        folder = tmp_path_factory.mktemp("never_acknowledged")
        async with (
            Application(server) as app,
            Sipp("never_acknowledged", server.sip, app.number, folder, ("-nr",)) as sipp,
        ):
            answer = await app.told(ivr_block="answer")
            await app.record(answer.body["session"])
            told = await app.sink.next(60, ivr_block="record")
            await sipp.passed()
            await nothing_more(app)
            return sipp, told

    task = asyncio.create_task(place())
    yield task
    task.cancel()
    await asyncio.wait({task})


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
    assert len(audio.seconds_in_place(mp3)) >= RECORD_S - 1


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


@pytest.mark.slow
async def test_a_200_that_is_never_acknowledged_is_repeated_and_ends_in_a_bye(
    never_acknowledged: asyncio.Task[tuple[Sipp, ReceivedNotification]],
) -> None:
    """The 200 is repeated by RFC 3261 section 13.3.1.4, then a BYE ends the call.

    ```
    sipp             server                     application
      |-- INVITE ----->|                             |
      |<--- 100, 180 --|-- answer (ringing) -------->|
      |                |<------- ivr/middle/record --|
      |<---- 200 ------|  at 0, 0.5, 1.5, 3.5, 7.5, |
      |<---- 200 ------|  then every 4 s            |
      |<---- BYE ------|  at 32 s                    |
      |---- 200 ------>|-- record (failed, ended) -->|
    ```
    """
    sipp, told = await asyncio.shield(never_acknowledged)
    assert told.body["call_state"] == "ended"
    assert told.body["record_status"] == "failed"
    assert "record_url" not in told.body
    oks = [one.at_s for one in sipp.messages() if one.name == "200 INVITE"]
    byes = [one.at_s for one in sipp.messages() if one.received and one.name == "BYE"]
    assert len(byes) == 1
    waited_s = byes[0] - oks[0]
    assert 64 * T1_S - 0.5 <= waited_s <= 64 * T1_S + 3
    # 0.5, 1.5, 3.5, 7.5 and then each 4 s up to 31.5 make ten repeats; the last is a near thing.
    assert len(oks) in (10, 11)
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(oks)]
    for gap_s, due_s in zip(gaps_s, [0.5, 1.0, 2.0, *[4.0] * 7], strict=False):
        assert abs(gap_s - due_s) <= 0.4
