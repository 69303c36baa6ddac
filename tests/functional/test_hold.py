"""Hold and unhold: music or a message over and over, and back.

```
phone            server                     application
  |                |<-- ivr/middle/hold ---------|
  |<== music ======|                             |
  |<== music ======|<-- ivr/middle/play ---------|  error_session_not_ready
  |                |<-- ivr/middle/unhold -------|
  |<== silence ====|-- unhold (ongoing) -------->|
```

A caller who leaves meanwhile is told to the block before, since a hold has no notify_url:

```
  |== BYE ========>|-- gather (ended, digits) -->|
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from tests.functional.calls import ringing, waiting_for_a_block
from tests.functional.outgoing import Carrier
from tests.functional.spoken import Spoken
from tests.harness import Application, ServerProcess
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone, PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_READY = "error_session_not_ready"

MUSIC_DBFS = (-30.0, -14.0)
"Between these is the level of any second of the music."
SILENT_DBFS = -60.0

OTHER_BLOCKS = [
    ("ivr/middle/play", {"msg": "Hello."}),
    ("ivr/middle/gather", {}),
    ("ivr/middle/record", {}),
    ("ivr/middle/monitor", {}),
    ("ivr/middle/hold", {}),
    ("ivr/end/transfer", {"dest": "room:Waiting"}),
    ("ivr/end/hangup", {}),
]


@pytest_asyncio.fixture(loop_scope="session")
async def spoken() -> AsyncIterator[Spoken]:
    """Messages of tone code."""
    async with Spoken() as made:
        yield made


async def hears(call: PhoneCall, seconds: float) -> NDArray[np.int16]:
    """What the phone hears in the next so many seconds."""
    begin = len(call.media.audio())
    async with asyncio.timeout(seconds + 5):
        while True:
            missing = begin + seconds * 8000 - len(call.media.audio())
            if missing <= 0:
                return call.media.audio()[begin:]
            await asyncio.sleep(missing / 8000 + 0.01)


async def test_music_until_the_unhold(app: Application, phone: Phone) -> None:
    """
    The caller hears music at once, and silence from the unhold on, which is told.

    The next block runs then as if nothing had been.
    """
    call, session = await waiting_for_a_block(app, phone)
    await app.hold(session)
    audio = await hears(call, 1.6)
    levels = [rms_dbfs(audio[at : at + 4000]) for at in range(4800, 12800 - 3999, 4000)]
    assert all(MUSIC_DBFS[0] < level < MUSIC_DBFS[1] for level in levels), levels
    await app.unhold(session, tag="back", notify_url=app.url("/unheld"))
    told = await app.told(ivr_block="unhold")
    assert told.path.endswith("/unheld")
    assert told.body == {
        "ivr_block": "unhold",
        "session": session,
        "txn_ref": told.body["txn_ref"],
        "from": phone.number,
        "to": app.number,
        "tag": "back",
        "call_state": "ongoing",
    }
    heard = await hears(call, 0.6)
    assert rms_dbfs(heard[2400:]) < SILENT_DBFS
    await app.record(session)
    await call.media.beep_ended()
    await call.media.say(tone_code.encode_seconds(0, 1))
    await call.media.press("#")
    assert (await app.told(ivr_block="record")).body["record_status"] == "success"


async def test_the_music_loops(app: Application, phone: Phone, spoken: Spoken) -> None:
    """A message of a second is heard again and again, without a gap or a lost sample."""
    call, session = await waiting_for_a_block(app, phone)
    await app.hold(session, msg=spoken.msg(0, 1))
    audio = await hears(call, 4.6)
    found = tone_code.decode_seconds(audio)
    assert [one.second_index for one in found[:4]] == [0, 0, 0, 0]
    places = [one.starts_at_ms for one in found[:4]]
    assert np.allclose(np.diff(places), 1000, atol=tone_code.TOLERANCE_MS), places
    assert all(one.heard_ms > tone_code.HEARD_ENOUGH_MS for one in found[:4])
    await app.unhold(session)
    await app.told(ivr_block="unhold")


async def test_on_hold_other_blocks_are_not_ready(app: Application, phone: Phone) -> None:
    """Every block but unhold is `error_session_not_ready`, and changes nothing."""
    call, session = await waiting_for_a_block(app, phone)
    await app.hold(session)
    for path, parameters in OTHER_BLOCKS:
        status = await app.block(path, session, **{"notify_url": app.url(), **parameters})
        assert status == NOT_READY, path
    assert rms_dbfs((await hears(call, 0.8))[2400:]) > MUSIC_DBFS[0]
    await app.unhold(session)
    await app.told(ivr_block="unhold")


async def test_unhold_without_notify_url_lets_the_next_block_come_at_once(
    app: Application, phone: Phone
) -> None:
    """Nothing is sent; the call stays up and a block that follows at once is accepted and runs."""
    call, session = await waiting_for_a_block(app, phone)
    for _ in range(3):
        await app.hold(session)
        assert await app.block("ivr/middle/unhold", session) == "success_ok"
        await app.play(session, "", notify_url=app.url("/next"))
        await app.told(ivr_block="play")
    assert await app.block("ivr/middle/unhold", session) == "error_session_not_on_hold"
    assert call.is_up
    assert "unhold" not in [one.body["ivr_block"] for one in app.sink.received]


async def test_unhold_needs_a_hold(app: Application, phone: Phone) -> None:
    """`error_session_not_on_hold` while it rings, waits or runs; `error_session_ended` later."""
    call, session = await ringing(app, phone)
    assert await app.block("ivr/middle/unhold", session) == "error_session_not_on_hold"
    await app.record(session)
    assert await app.block("ivr/middle/unhold", session) == "error_session_not_on_hold"
    assert await app.block("ivr/middle/hold", session) == NOT_READY
    await call.answered()
    call.hang_up()
    await app.told(ivr_block="record", call_state="ended")
    assert await app.block("ivr/middle/unhold", session) == "error_session_ended"
    assert await app.block("ivr/middle/hold", session) == "error_session_ended"


async def test_hold_answers_a_ringing_call(app: Application, phone: Phone) -> None:
    """As a middle block does; who leaves then is told to the number's own URL, with the charge."""
    call, session = await ringing(app, phone)
    await app.hold(session)
    await call.answered()
    assert rms_dbfs((await hears(call, 1.0))[4000:]) > MUSIC_DBFS[0]
    call.hang_up()
    told = await app.told(ivr_block="answer", call_state="ended")
    assert told.body["session"] == session
    assert (told.body["duration"], told.body["debit"]) == ("1", "0.020")


async def test_a_caller_who_leaves_on_hold_is_told_to_the_block_before(
    app: Application, phone: Phone
) -> None:
    """Once, to the gather's URL with its tag and `digits`, and what the call cost."""
    call, session = await ringing(app, phone)
    await app.accepted(
        "ivr/middle/gather", session=session, max_digits="1", tag="choice",
        notify_url=app.url("/gathered"),
    )  # fmt: skip
    await call.answered()
    await asyncio.wait_for(call.media.talking.wait(), 5)
    await call.media.press("5")
    gathered = await app.told(ivr_block="gather")
    assert gathered.body["digits"] == "5"
    await app.hold(session)
    call.hang_up()
    told = await app.told(ivr_block="gather", call_state="ended")
    assert told.path.endswith("/gathered")
    assert told.body["tag"] == "choice"
    assert told.body["digits"] == ""
    assert told.body["debit"] == "0.020"
    assert len(app.sink.received) == 3


async def test_a_forced_hangup_ends_a_hold(app: Application, phone: Phone) -> None:
    """It gets through; the hold itself tells nothing, the hangup does."""
    call, session = await waiting_for_a_block(app, phone)
    await app.hold(session)
    await hears(call, 0.2)
    await app.hang_up(session, force="enabled", tag="enough")
    async with asyncio.timeout(5):
        await call.ended()
    told = await app.told(call_state="ended")
    assert (told.body["ivr_block"], told.body["tag"]) == ("hangup", "enough")
    assert told.body["debit"] == "0.020"
    assert len(app.sink.received) == 3
    assert await app.block("ivr/middle/unhold", session) == "error_session_ended"


async def test_a_dialled_call_on_hold(app: Application) -> None:
    """It is a call like any other; its end is told as the dial's, which was answered."""
    async with Carrier(app) as carrier:
        number = carrier.number()
        session = (await app.dial(number, tag="order-77"))["session"]
        call = await carrier.call_to(number)
        await app.told(ivr_block="dial")
        await app.hold(session)
        assert rms_dbfs((await hears(call, 1.0))[4000:]) > MUSIC_DBFS[0]
        call.hang_up()
        told = await app.told(ivr_block="dial")
        assert (told.body["call_state"], told.body["dial_status"]) == ("ended", "answered")
        assert (told.body["dest"], told.body["tag"]) == (number, "order-77")
        assert told.body["debit"] == "0.040"


async def test_the_far_end_s_own_hold_does_not_end_ours(app: Application, phone: Phone) -> None:
    """A re-INVITE that holds us stops the music; it goes on when the phone is back."""
    call, session = await waiting_for_a_block(app, phone)
    await app.hold(session)
    await hears(call, 0.3)
    call.hold()
    await asyncio.wait_for(call.renegotiated(), 5)
    await asyncio.sleep(0.1)
    count = len(call.media.heard)
    await asyncio.sleep(0.3)
    assert len(call.media.heard) <= count + 2
    call.resume()
    await asyncio.wait_for(call.renegotiated(), 5)
    count = len(call.media.heard)
    await hears(call, 0.1)
    begin = len(call.media.audio())
    await hears(call, 0.5)
    assert rms_dbfs(call.media.audio()[begin:]) > MUSIC_DBFS[0]
    assert len(call.media.heard) > count
    await app.unhold(session)
    await app.told(ivr_block="unhold")


async def test_another_codec_does_not_end_the_music(
    app: Application, phone: Phone, spoken: Spoken
) -> None:
    """PCMU to PCMA and back by re-INVITE: the message goes on where it was, at its level."""
    call, session = await waiting_for_a_block(app, phone)
    await app.hold(session, msg=spoken.msg(0, 1))
    begin = len(call.media.audio())
    await hears(call, 1.2)
    for codec in ("PCMA", "PCMU"):
        call.reinvite(codecs=(codec,))
        await asyncio.wait_for(call.renegotiated(), 5)
        await hears(call, 1.5)
    audio = call.media.audio()[begin:]
    found = tone_code.decode_seconds(audio)
    assert len(found) >= 4
    assert {one.second_index for one in found} == {0}
    places = np.array([one.starts_at_ms for one in found[:4]])
    assert np.allclose(np.diff(places), 1000, atol=tone_code.TOLERANCE_MS), places
    assert all(one.heard_ms > tone_code.HEARD_ENOUGH_MS for one in found[:4])
    await app.unhold(session)
    await app.told(ivr_block="unhold")


async def test_the_idle_time_does_not_run_on_hold(data_dir: Path) -> None:
    """
    A hold outlives it; after an unhold that is not told it runs again, and ends the call.

    The block before the hold is told, so that the application learns of it.
    """
    server = await ServerProcess(data_dir, {"IDLE_TIMEOUT_S": "1"}).start()
    async with Application(server) as app, Phone() as phone:
        call, session = await ringing(app, phone)
        await app.hold(session)
        await call.answered()
        await hears(call, 1.8)
        assert call.is_up
        assert await app.block("ivr/middle/unhold", session) == "success_ok"
        unheld_s = asyncio.get_running_loop().time()
        async with asyncio.timeout(5):
            assert 0.8 < await call.ended() - unheld_s < 2
        told = await app.told(call_state="ended")
        assert (told.body["ivr_block"], told.body["session"]) == ("answer", session)
        assert await server.stop() == 0
