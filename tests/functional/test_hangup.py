"""Hangup: politely after a message, or by force at any moment.

```
phone            server                     application
  |== recording =====>|                          |
  |                |<-- ivr/end/hangup force=enabled
  |<---- BYE ------|-- record (success, ended) ->|
  |                |-- hangup (ended) ---------->|
```
"""

from __future__ import annotations

import asyncio

import pytest

from tests.functional.calls import recording, ringing, waiting_for_a_block
from tests.harness import Application
from voiceblocks.database import charges
from voiceblocks.database.unit_of_work import Database
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import CallNotAnswered, Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_forced_hangup_keeps_what_was_recorded(app: Application, phone: Phone) -> None:
    """First the recording's notification, then the hangup's; one charge, told by both."""
    call, session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 1))
    status = await app.block(
        "ivr/end/hangup", session, force="enabled", tag="enough", notify_url=app.url("/bye")
    )
    assert status == "success_ok"
    record = await app.told(ivr_block="record")
    hangup = await app.told(ivr_block="hangup")
    async with asyncio.timeout(5):
        await call.ended()
    assert record.body["record_status"] == "success"
    assert record.body["call_state"] == hangup.body["call_state"] == "ended"
    assert hangup.body["tag"] == "enough"
    assert record.at_s <= hangup.at_s
    for name in ("txn_ref", "debit", "charge_id", "duration"):
        assert record.body[name] == hangup.body[name]
    database = Database(app.server.database_url)
    charged = await database.run(lambda c: charges.list_of_session(c, session))
    database.close()
    assert [charge.id for charge in charged] == [record.body["charge_id"]]


async def test_a_ringing_call_is_rejected_by_hangup(app: Application, phone: Phone) -> None:
    """603 without answering, nothing to pay (decision 10)."""
    call, session = await ringing(app, phone)
    assert await app.block("ivr/end/hangup", session, notify_url=app.url()) == "success_ok"
    with pytest.raises(CallNotAnswered) as refused:
        await call.answered()
    assert refused.value.status == 603
    told = await app.told(ivr_block="hangup")
    assert told.body["call_state"] == "ended"
    assert told.body["duration"] == "0"
    assert told.body["debit"] == "0.000"


async def test_hangup_says_its_message_first(app: Application, phone: Phone) -> None:
    """A ringing call is answered for it, and hears all of it."""
    call, session = await ringing(app, phone)
    await app.block("ivr/end/hangup", session, msg="Sorry, we are closed.", notify_url=app.url())
    await call.answered()
    async with asyncio.timeout(15):
        await call.ended()
    assert len(call.media.heard) * 20 > 800
    told = await app.told(ivr_block="hangup")
    assert told.body["call_state"] == "ended"
    assert told.body["duration"] == "1"


async def test_after_an_end_block_the_session_is_over(app: Application, phone: Phone) -> None:
    """Decision 3: `error_session_ended` from the moment the End block was accepted."""
    call, session = await ringing(app, phone)
    await app.block("ivr/end/hangup", session, msg="One moment, please. Goodbye.")
    assert await app.block("ivr/middle/play", session, msg="x") == "error_session_ended"
    assert await app.block("ivr/end/hangup", session) == "error_session_ended"
    await call.answered()
    async with asyncio.timeout(15):
        await call.ended()
    assert await app.block("ivr/middle/play", session, msg="x") == "error_session_ended"


async def test_the_caller_gives_up_while_it_rings(app: Application, phone: Phone) -> None:
    """CANCEL: 487 to the phone, one ended notification, nothing to pay."""
    call, session = await ringing(app, phone)
    await call.ringing()
    call.hang_up()
    with pytest.raises(CallNotAnswered) as cancelled:
        await call.answered()
    assert cancelled.value.status == 487
    told = await app.told(ivr_block="answer", call_state="ended")
    assert told.body["session"] == session
    assert told.body["duration"] == "0"
    assert told.body["debit"] == "0.000"
    assert told.body["rate"] != ""


async def test_the_caller_leaves_between_blocks(app: Application, phone: Phone) -> None:
    """The last URL is told once, with the last block's name (decision 1)."""
    call, _session = await waiting_for_a_block(app, phone)
    call.hang_up()
    told = await app.told(ivr_block="play", call_state="ended")
    assert told.path.endswith("/played")
    assert told.body["duration"] == "1"
