"""Transfer to a number.

```
phone                     server                      carrier
  |-- INVITE -------------->|                            |
  |                         |-- answer (ringing) --> application
  |                         |<-- transfer --------------- "
  |<---- 200 ---------------|                            |
  |<==== msg ===============|                            |
  |                         |-- INVITE ----------------->|
  |<==== ring tone =========|<---- 180 ------------------|
  |                         |<---- 200 ------------------|
  |<===========================  each hears the other ==>|
  |<---- BYE ---------------|<---- BYE ------------------|
  |                         |-- transfer (ended) --> application
```
"""

from __future__ import annotations

import asyncio

import pytest

from tests.functional.calls import ringing
from tests.functional.connected.facts import Facts
from tests.functional.connected.steps import (
    INBOUND,
    OUTBOUND,
    ended,
    hear_each_other,
    talking,
    transferred,
)
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.testing.answering import AnswerAtCancel, RingForever
from voiceblocks.testing.conversation import listen, who_hears_whom
from voiceblocks.testing.hearing import heard_audio
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_hears_exactly_the_other_and_both_legs_are_charged(
    app: Application, phone: Phone, carrier: Carrier, facts: Facts
) -> None:
    """Nobody hears themselves; the end tells the sum of both rates, and two charges are stored."""
    call, far, session = await talking(app, phone, carrier, tag="order-77")
    people = {0: call, 1: far}
    assert who_hears_whom(await listen(people)) == {0: {1}, 1: {0}}
    far.hang_up()
    await ended(call, far)
    told = (await app.told(ivr_block="transfer")).body
    assert call.end_cause == "peer_hung_up"
    assert {name: told[name] for name in ("session", "from", "to", "tag", "call_state")} == {
        "session": session,
        "from": phone.number,
        "to": app.number,
        "tag": "order-77",
        "call_state": "ended",
    }
    assert (told["transfer_status"], told["transfer_cause"]) == ("answered", "answered")
    assert (told["duration"], told["rate"], told["debit"]) == ("1", "0.060", "0.060")
    assert told["charge_id"] == f"chg_{session}_1"
    assert facts.charges_of(session) == {"1": INBOUND, "2": OUTBOUND}
    [leg] = facts.legs_of(session)
    assert (leg.dest, leg.disposition) == (f"+{far.dialled.lstrip('+')}", "answered")
    assert leg.answered_us < leg.ended_us


async def test_the_caller_hangs_up(app: Application, phone: Phone, carrier: Carrier) -> None:
    """The far end gets its BYE, and the call is told once."""
    call, far, session = await talking(app, phone, carrier)
    call.hang_up()
    await ended(call, far)
    told = (await app.told(session=session, ivr_block="transfer")).body
    assert far.end_cause == "peer_hung_up"
    assert (told["call_state"], told["transfer_status"]) == ("ended", "answered")
    assert [one.body["ivr_block"] for one in app.sink.received] == ["answer", "transfer"]


async def test_the_caller_gives_up_while_it_rings(
    app: Application, phone: Phone, carrier: Carrier, facts: Facts
) -> None:
    """The far end's phone stops ringing by CANCEL; only the caller's leg costs money."""
    number = carrier.number(RingForever())
    call, session = await ringing(app, phone)
    await app.transfer(session, number)
    await call.answered()
    far = await carrier.call_to(number)
    await call.media.talking.wait()
    call.hang_up()
    await ended(call, far)
    assert far.end_cause == "cancelled"
    told = (await app.told(ivr_block="transfer")).body
    assert (told["call_state"], told["transfer_status"]) == ("ended", "unanswered")
    assert (told["transfer_cause"], told["rate"]) == ("cancelled", "0.020")
    assert facts.charges_of(session) == {"1": INBOUND}


async def test_a_forced_hangup_ends_both_legs(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """In the midst of the conversation; transfer and hangup are told, once each."""
    call, far, session = await talking(app, phone, carrier)
    await app.hang_up(session, force="enabled", tag="enough")
    await ended(call, far)
    assert (call.end_cause, far.end_cause) == ("peer_hung_up", "peer_hung_up")
    transfer = (await app.told(ivr_block="transfer")).body
    hangup = (await app.told(ivr_block="hangup", tag="enough")).body
    assert transfer["transfer_status"] == "answered"
    assert transfer["debit"] == hangup["debit"] == "0.060"
    assert transfer["charge_id"] == hangup["charge_id"]


async def test_voice_hangup_ends_a_transfer(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """By the transaction; its end is the transfer's notification."""
    call, far, session = await transferred(app, phone, carrier)
    told = next(one.body for one in app.sink.received if one.body["session"] == session)
    answer = await app.request("voice/hangup", txn_ref=told["txn_ref"])
    assert answer["status"] == "success_ok"
    await ended(call, far)
    assert (await app.told(ivr_block="transfer")).body["call_state"] == "ended"


async def test_the_message_is_said_before_anybody_is_called(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """The far end's INVITE comes when the message is over."""
    number = carrier.number()
    call, session = await ringing(app, phone)
    await app.transfer(session, number, msg="One moment, please.")
    await call.answered()
    far = await carrier.call_to(number)
    invited_s = next(
        one.at_s
        for one in carrier.trunk.requests
        if far.request is not None and one.request.call_id == far.request.call_id
    )
    before = heard_audio([one for one in call.media.heard if one.at < invited_s])
    assert len(before) > 8000 * 0.8
    assert rms_dbfs(before) > -40
    await hear_each_other(call, far)


async def test_without_notify_url_nothing_is_told(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """The caller is connected, no further block is taken, and the end is not notified."""
    call, far, session = await transferred(
        app, phone, carrier, notify_url="", on_failure="continue"
    )
    await hear_each_other(call, far)
    assert await app.block("ivr/middle/play", session, msg="x") == "error_session_ended"
    far.hang_up()
    await ended(call, far)
    assert [one.body["ivr_block"] for one in app.sink.received] == ["answer"]


async def test_without_notify_url_failure_hangs_up(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """`continue` counts as `hangup`: nobody would hear that the call goes on."""
    number = carrier.number(RingForever())
    call, session = await ringing(app, phone)
    await app.transfer(session, number, notify_url="", on_failure="continue")
    await call.answered()
    (await carrier.call_to(number)).refuse(486)
    await ended(call)


async def test_a_dialled_call_is_transferred(
    app: Application, carrier: Carrier, facts: Facts
) -> None:
    """Whoever was dialled talks with whom they are transferred to; both legs went out."""
    first, second = carrier.number(), carrier.number()
    dialled = await app.dial(first)
    call = await carrier.call_to(first)
    await app.told(ivr_block="dial", dial_status="answered")
    await app.transfer(dialled["session"], second)
    far = await carrier.call_to(second)
    await far.answered()
    await hear_each_other(call, far)
    call.hang_up()
    await ended(call, far)
    told = (await app.told(ivr_block="transfer")).body
    assert (told["dest"], told["transfer_status"]) == (first, "answered")
    assert (told["rate"], told["debit"]) == ("0.080", "0.080")
    assert facts.charges_of(dialled["session"]) == {"1": OUTBOUND, "2": OUTBOUND}


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda number: number[1:], id="lost plus"),
        pytest.param(lambda number: f" {number[1:]}", id="plus read as a blank"),
        pytest.param(lambda number: f"00{number[1:]}", id="00"),
        pytest.param(lambda number: f"+65-{number[3:7]} {number[7:]}", id="ornament"),
        pytest.param(lambda number: f"{number},,{number[1:]},", id="twice, empty pieces"),
    ],
)
async def test_numbers_as_clients_spell_them(
    app: Application, phone: Phone, carrier: Carrier, write: object
) -> None:
    """The same number is called, once."""
    number = carrier.number()
    call, session = await ringing(app, phone)
    assert callable(write)
    await app.transfer(session, write(number))
    await call.answered()
    far = await carrier.call_to(number)
    await far.answered()
    assert far.dialled == number
    call.hang_up()
    await ended(call, far)
    calls = [one for one in carrier.trunk.invites() if one.request_uri.user == number]
    assert len(calls) == 1


@pytest.mark.parametrize("caller_id", ["own", "caller", "private", "p", "", "national"])
async def test_the_far_end_sees_the_caller_id(
    app: Application, phone: Phone, carrier: Carrier, caller_id: str
) -> None:
    """An own number, the caller's own, none at all; the application's number if omitted."""
    asked = {"own": app.number, "caller": phone.number, "national": app.number[1:]}
    _call, far, _session = await transferred(
        app, phone, carrier, caller_id=asked.get(caller_id, caller_id)
    )
    shown = {"own": app.number, "national": app.number, "": app.number, "caller": phone.number}
    if caller_id in shown:
        assert f"sip:{shown[caller_id]}@" in far.header("From")
    else:
        assert "anonymous" in far.header("From")
        assert app.number[1:] not in str(far.request)
        assert far.header("Privacy") == "id"


async def test_a_foreign_caller_id_is_refused(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """Nobody is called, and the session still takes a block."""
    number = carrier.number()
    call, session = await ringing(app, phone)
    for foreign in ("+6591119999", number):
        status = await app.block("ivr/end/transfer", session, dest=number, caller_id=foreign)
        assert status == "error_caller_id_invalid"
    await app.play(session, "Still here.")
    await call.answered()
    assert not [one for one in carrier.trunk.invites() if one.request_uri.user == number]


async def test_an_answer_that_crosses_the_cancel_is_hung_up(
    app: Application, phone: Phone, carrier: Carrier, facts: Facts
) -> None:
    """Picked up in the moment in which the caller leaves: a BYE, and no charge."""
    number = carrier.number(AnswerAtCancel())
    call, session = await ringing(app, phone)
    await app.transfer(session, number)
    await call.answered()
    far = await carrier.call_to(number)
    await call.media.talking.wait()
    call.hang_up()
    await ended(call, far)
    assert (await app.told(ivr_block="transfer")).body["transfer_status"] == "unanswered"
    assert facts.charges_of(session) == {"1": INBOUND}


async def test_it_rings_no_longer_than_it_may(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """`ring_time=5`: CANCEL after five seconds, `unanswered`, and the call is over."""
    number = carrier.number(RingForever())
    call, session = await ringing(app, phone)
    await app.transfer(session, number, ring_time="5")
    await call.answered()
    far = await carrier.call_to(number)
    began_s = asyncio.get_running_loop().time()
    await ended(call, far)
    assert 4 < await far.ended() - began_s < 7
    told = (await app.told(ivr_block="transfer")).body
    assert (told["transfer_status"], told["transfer_cause"]) == ("unanswered", "no_answer")
    assert (far.end_cause, told["call_state"]) == ("cancelled", "ended")
