"""Gather: keys over real SIP and RTP sockets.

```
phone            server                     application
  |-- INVITE ----->|                             |
  |<---- 180 ------|-- answer (ringing) -------->|
  |                |<------- ivr/middle/gather --|
  |<---- 200 ------|                             |
  |-- ACK -------->|                             |
  |<== prompt ========|                          |
  |== 1 ==============>| (the prompt stops)      |
  |== 2, 3, # ========>|-- gather digits=123 --->|
  |                |<------- the next block -----|
```
"""

from __future__ import annotations

import asyncio

import pytest

from tests.functional.calls import ringing, waiting_for_a_block
from tests.harness import Application
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.sounds import silence

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG_PROMPT = "Please enter the number of your order. " * 12
SPOKEN_DBFS = -50.0
BETWEEN_PROMPTS_MS = 600
"Longer than any pause in a sentence, shorter than the shortest timeout."


async def gathering(app: Application, phone: Phone, **parameters: str) -> tuple[PhoneCall, str]:
    """A call that has just been answered by a gather without a prompt, unless one is given."""
    call, session = await ringing(app, phone)
    await gather(app, session, **parameters)
    await call.answered()
    async with asyncio.timeout(5):
        await call.media.talking.wait()
    return call, session


async def gather(app: Application, session: str, **parameters: str) -> None:
    """Ask for the block, which must be accepted."""
    given = {"notify_url": app.url("/typed"), **parameters}
    assert await app.block("ivr/middle/gather", session, **given) == "success_ok"


async def typed(call: PhoneCall, keys: str) -> None:
    """Press keys one after another, and let the last one arrive."""
    for key in keys:
        await call.media.press(key)
    await call.media.say(silence(300))


def prompts_heard(call: PhoneCall) -> int:
    """How often something was said, with a clear pause between."""
    heard = 0
    quiet_since_ms = BETWEEN_PROMPTS_MS
    for packet in call.media.heard:
        if rms_dbfs(packet.samples) > SPOKEN_DBFS:
            heard += quiet_since_ms >= BETWEEN_PROMPTS_MS
            quiet_since_ms = 0
        else:
            quiet_since_ms += len(packet.samples) // 8
    return heard


async def test_keys_until_the_finish_key(app: Application, phone: Phone) -> None:
    """
    The prompt is heard, `#` ends the entry, and the application may go on.

    ```
    phone            server              application
      |== 1 * A # =======>|-- gather digits=1*A ---->|
      |<---- BYE ------|<------- ivr/end/hangup -----|
    ```
    """
    call, session = await gathering(app, phone, msg="Your code, please.", tag="askCode")
    await typed(call, "1*A#")
    told = await app.told(ivr_block="gather")
    assert told.body["digits"] == "1*A"
    assert told.query["digits"] == "1*A"
    assert (told.body["tag"], told.body["call_state"]) == ("askCode", "ongoing")
    assert told.body["from"] == phone.number
    assert told.verify_signature(app.access_token)
    assert await app.block("ivr/end/hangup", session) == "success_ok"
    async with asyncio.timeout(5):
        await call.ended()


async def test_keys_from_before_the_block_are_forgotten(app: Application, phone: Phone) -> None:
    """A `#` between two blocks answers neither; a key right after the acceptance counts."""
    call, session = await gathering(app, phone)
    await typed(call, "1#")
    assert (await app.told(ivr_block="gather")).body["digits"] == "1"
    await typed(call, "99#")
    await gather(app, session)
    for key in "72#":
        call.send_info(key)
        await call.media.say(silence(60))
    assert (await app.told(ivr_block="gather")).body["digits"] == "72"


async def test_keys_by_info(app: Application, phone: Phone) -> None:
    """
    A phone that sends its keys in the signalling is understood, `#` included.

    ```
    phone            server              application
      |-- INFO 4 ----->|                         |
      |-- INFO 2 ----->|                         |
      |-- INFO # ----->|-- gather digits=42 ---->|
    ```
    """
    call, _session = await gathering(app, phone)
    for key in "42#":
        call.send_info(key)
        await call.media.say(silence(60))
    assert (await app.told(ivr_block="gather")).body["digits"] == "42"


async def test_a_key_that_comes_both_ways_counts_once(app: Application, phone: Phone) -> None:
    """
    Telephone-event and INFO for each key, now this one first and now that one: no doubles.

    ```
    phone            server              application
      |== 1 =============>|                      |
      |-- INFO 1 -------->|                      |
      |-- INFO 1, == 1 ==>|                      |
      |== 2, INFO 2 =====>|                      |
      |== # =============>|-- gather digits=112 >|
    ```
    """
    call, _session = await gathering(app, phone)
    await typed(call, "1")
    call.send_info("1")
    await call.media.say(silence(200))
    call.send_info("1")
    await call.media.say(silence(200))
    await typed(call, "12")
    call.send_info("2")
    await call.media.say(silence(200))
    await typed(call, "#")
    assert (await app.told(ivr_block="gather")).body["digits"] == "112"


async def test_a_key_interrupts_the_prompt_and_counts(app: Application, phone: Phone) -> None:
    """
    Barge-in: half a minute of prompt falls silent at the first key, which is part of the entry.

    ```
    phone            server              application
      |<== prompt ========|                      |
      |== 7 =============>| (silence)            |
      |== 8 =============>|-- gather digits=78 ->|
    ```
    """
    call, _session = await gathering(app, phone, msg=LONG_PROMPT, max_digits="2")
    await call.media.say(silence(600))
    assert prompts_heard(call) == 1
    await typed(call, "7")
    # It stopped with the first key, not with the end of the entry.
    assert {notification.body["ivr_block"] for notification in app.sink.received} == {"answer"}
    assert all(rms_dbfs(packet.samples) < SPOKEN_DBFS for packet in call.media.heard[-5:])
    await typed(call, "8")
    assert (await app.told(ivr_block="gather")).body["digits"] == "78"


async def test_enough_digits_end_the_entry(app: Application, phone: Phone) -> None:
    """
    At `max_digits` no `#` is needed, and one that follows does not answer the next block.

    ```
    phone            server              application
      |== 1 2 3 4 =======>|-- gather digits=1234 >|
      |== # =============>|                       |
      |                |<--- ivr/middle/gather ---|
      |== 9 =============>|-- gather digits=9 --->|
    ```
    """
    call, session = await gathering(app, phone, max_digits="4")
    await typed(call, "1234")
    assert (await app.told(ivr_block="gather")).body["digits"] == "1234"
    await typed(call, "#")
    await gather(app, session, max_digits="1", tag="second")
    await typed(call, "9")
    assert (await app.told(ivr_block="gather", tag="second")).body["digits"] == "9"


async def test_a_pause_ends_the_entry_with_what_was_typed(app: Application, phone: Phone) -> None:
    """
    `timeout` after the last key; a further attempt is not needed.

    ```
    phone            server              application
      |== 1 2 ===========>|                      |
      |      (timeout)    |-- gather digits=12 ->|
    ```
    """
    call, _session = await gathering(app, phone, timeout="1", attempts="3")
    await typed(call, "12")
    assert (await app.told(ivr_block="gather")).body["digits"] == "12"


async def test_two_attempts_and_nothing_typed(app: Application, phone: Phone) -> None:
    """
    The prompt is said twice, then `digits` is there and empty, and the call goes on.

    ```
    phone            server              application
      |<== prompt ========|                      |
      |      (timeout)    |                      |
      |<== prompt ========|                      |
      |      (timeout)    |-- gather digits= --->|
    ```
    """
    call, session = await gathering(app, phone, msg="Hello.", timeout="1", attempts="2")
    told = await app.told(ivr_block="gather")
    assert told.body["digits"] == ""
    assert told.query["digits"] == ""
    assert told.body["call_state"] == "ongoing"
    assert prompts_heard(call) == 2
    await gather(app, session, max_digits="1", tag="again")
    await typed(call, "5")
    assert (await app.told(tag="again")).body["digits"] == "5"


async def test_who_hangs_up_inside_leaves_what_was_typed(app: Application, phone: Phone) -> None:
    """
    One notification: ended, billed, with the digits so far.

    ```
    phone            server              application
      |== 1 2 ===========>|                             |
      |-- BYE ------->|-- gather (ended) digits=12 ---->|
    ```
    """
    call, _session = await gathering(app, phone)
    await typed(call, "12")
    call.hang_up()
    told = await app.told(ivr_block="gather")
    assert (told.body["digits"], told.body["call_state"]) == ("12", "ended")
    assert told.body["duration"] == "1"


async def test_who_hangs_up_after_it_leaves_empty_digits(app: Application, phone: Phone) -> None:
    """
    The ended notification is a gather's, too: what reads its digits finds them, empty.

    ```
    phone            server              application
      |== 5 =============>|-- gather digits=5 --------->|
      |-- BYE ------->|-- gather (ended) digits= ------>|
    ```
    """
    call, _session = await gathering(app, phone, max_digits="1")
    await typed(call, "5")
    assert (await app.told(ivr_block="gather")).body["digits"] == "5"
    call.hang_up()
    told = await app.told(ivr_block="gather", call_state="ended")
    assert told.body["digits"] == ""


async def test_a_forced_hangup_inside(app: Application, phone: Phone) -> None:
    """
    First the gather's notification with the digits so far, then the hangup's.

    ```
    phone            server              application
      |== 3 =============>|                             |
      |               |<----- hangup force=enabled -----|
      |<---- BYE -----|-- gather (ended) digits=3 ----->|
      |               |-- hangup (ended) -------------->|
    ```
    """
    call, session = await gathering(app, phone, msg=LONG_PROMPT)
    await typed(call, "3")
    status = await app.block("ivr/end/hangup", session, force="enabled", notify_url=app.url("/bye"))
    assert status == "success_ok"
    told = await app.told(ivr_block="gather")
    assert (told.body["digits"], told.body["call_state"]) == ("3", "ended")
    assert (await app.told(ivr_block="hangup")).body["charge_id"] == told.body["charge_id"]
    async with asyncio.timeout(5):
        await call.ended()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"notify_url": ""}, "error_notify_url_param_missing"),
        ({"max_digits": "256"}, "error_invalid_max_digits"),
        ({"timeout": "0"}, "error_invalid_timeout"),
        ({"attempts": "11"}, "error_invalid_attempts"),
    ],
)
async def test_a_malformed_gather_changes_nothing(
    app: Application, phone: Phone, wrong: dict[str, str], status: str
) -> None:
    """Its own statuses; the call still waits for the next good block."""
    call, session = await waiting_for_a_block(app, phone)
    given = {"notify_url": app.url("/typed"), **wrong}
    assert await app.block("ivr/middle/gather", session, **given) == status
    await gather(app, session, max_digits="1")
    await typed(call, "1")
    assert (await app.told(ivr_block="gather")).body["digits"] == "1"
