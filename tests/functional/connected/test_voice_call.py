"""`voice/call`: two numbers are called one after another and connected.

```
application               server                   dest1, dest2
  |-- voice/call --------->|                            |
  |<-- txn_ref ------------|                            |
  |                        |-- INVITE ----------------->|  dest1, who sees dest2's number
  |                        |<---- 200 ------------------|
  |                        |-- INVITE ----------------->|  dest2, who sees the caller_id
  |                        |==== ring tone ============>|  dest1
  |                        |<---- 200 ------------------|
  |                        |<== each hears the other ==>|
  |                        |<---- BYE ------------------|
  |<-- txn_ref, … ---------|                            |  the only notification
```
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.functional.connected.facts import Facts
from tests.functional.connected.steps import OUTBOUND, ended, hear_each_other
from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.testing.answering import (
    BUSY,
    DECLINED,
    NOT_FOUND,
    UNAVAILABLE,
    Answer,
    Behaviour,
    ByHand,
    RingForever,
)
from voiceblocks.testing.conversation import listen
from voiceblocks.testing.phone import PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def connected(
    app: Application, carrier: Carrier, **parameters: str
) -> tuple[PhoneCall, PhoneCall, str]:
    """Two numbers that talk, and the transaction."""
    dest1, dest2 = carrier.number(), carrier.number()
    txn_ref = await app.call(dest1, dest2, **parameters)
    first = await carrier.call_to(dest1)
    second = await carrier.call_to(dest2)
    await first.answered()
    await second.answered()
    return first, second, txn_ref


async def test_two_numbers_are_connected(app: Application, carrier: Carrier, facts: Facts) -> None:
    """Each hears exactly the other; one notification tells all of it, with both charges."""
    first, second, txn_ref = await connected(app, carrier, tag="order-77")
    await hear_each_other(first, second)
    during = await app.status_of(txn_ref)
    dests = {"dest1": first.dialled, "dest2": second.dialled}
    assert during.items() >= (dests | {"call_status_dest1": "ongoing"}).items()
    assert (during["call_status_dest2"], during["rate"]) == ("ongoing", "0.080")
    assert {"duration", "debit"} & set(during) == set()
    second.hang_up()
    await ended(first, second)
    assert first.end_cause == "peer_hung_up"
    told = (await app.told(txn_ref=txn_ref)).body
    session = facts.session_of(txn_ref)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told.pop("date"))
    assert told == {
        "txn_ref": txn_ref,
        "tag": "order-77",
        **dests,
        "call_status_dest1": "answered",
        "call_status_dest2": "answered",
        "duration": "1",
        "currency": "SGD",
        "rate": "0.080",
        "debit": "0.080",
        "charge_id": f"chg_{session}_1",
    }
    assert facts.charges_of(session) == {"1": OUTBOUND, "2": OUTBOUND}
    after = await app.status_of(txn_ref)
    assert (
        after.items()
        >= {
            **dests,
            "tag": "order-77",
            "call_status_dest1": "answered",
            "call_status_dest2": "answered",
            "call_status_dest_1": "answered",
            "call_status_dest_2": "answered",
            "duration": "1",
            "currency": "SGD",
            "rate": "0.080",
            "debit": "0.080",
        }.items()
    )
    assert len(app.sink.received) == 1


async def test_who_sees_which_number(app: Application, carrier: Carrier) -> None:
    """dest1 sees dest2; dest2 sees the caller_id, our own number if omitted."""
    first, second, _txn_ref = await connected(app, carrier)
    assert f"sip:{second.dialled}@" in first.header("From")
    assert f"sip:{app.number}@" in second.header("From")
    first.hang_up()
    await ended(first, second)
    first, second, _txn_ref = await connected(app, carrier, caller_id="private")
    assert f"sip:{second.dialled}@" in first.header("From")
    assert "anonymous" in second.header("From")
    second.hang_up()
    await ended(first, second)


async def test_an_account_may_show_its_own_number_to_both(data_dir: Path) -> None:
    """
    By a setting of the server, for carriers that let no foreign number through.

    Both see the registered number, which is also `dest1` where that is omitted and may be asked
    for as caller_id; without a registered number they see the application's.
    """
    server = await ServerProcess(data_dir, {"CALL_DEST1_SEES": "account"}).start()
    async with Application(server) as app, Carrier(app) as carrier:
        first, second, _txn_ref = await connected(app, carrier)
        assert f"sip:{app.number}@" in first.header("From")
        assert f"sip:{app.number}@" in second.header("From")
        first.hang_up()
        await ended(first, second)
        own, other = carrier.number(), carrier.number()
        await app.server.cli("account", "set", app.account_id, registered_number=own)
        for parameters in ({}, {"caller_id": own}):
            await app.call("", other, **parameters)
            first = await carrier.call_to(own)
            second = await carrier.call_to(other)
            assert f"sip:{own}@" in first.header("From")
            assert f"sip:{own}@" in second.header("From")
            await second.answered()
            second.hang_up()
            await ended(first, second)
        assert await server.stop() == 0


async def test_dest1_hears_dest2_ring(app: Application, carrier: Carrier) -> None:
    """dest2 is called only when dest1 has answered, and dest1 hears the ring tone."""
    dest1, dest2 = carrier.number(ByHand()), carrier.number(RingForever())
    txn_ref = await app.call(dest1, dest2)
    first = await carrier.call_to(dest1)
    first.ring()
    with pytest.raises(TimeoutError):
        await carrier.trunk.incoming(0.5, dest2)
    first.answer()
    second = await carrier.call_to(dest2)
    await first.answered()
    heard = (await listen({0: first}, seconds=1.0))[0]
    assert rms_dbfs(heard) > -40
    status = await app.status_of(txn_ref)
    assert (status["call_status_dest1"], status["call_status_dest2"]) == ("ongoing", "ongoing")
    first.hang_up()
    await ended(first, second)
    assert second.end_cause == "cancelled"
    told = (await app.told(txn_ref=txn_ref)).body
    assert (told["call_status_dest1"], told["call_status_dest2"]) == ("answered", "unanswered")


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [(BUSY, "busy"), (DECLINED, "busy"), (UNAVAILABLE, "unanswered"), (NOT_FOUND, "failed")],
)
async def test_dest2_is_not_reached(
    app: Application, carrier: Carrier, facts: Facts, behaviour: Behaviour, status: str
) -> None:
    """dest1 is hung up; only its leg is charged and counted in the rate."""
    dest1, dest2 = carrier.number(), carrier.number(behaviour)
    txn_ref = await app.call(dest1, dest2)
    first = await carrier.call_to(dest1)
    await first.answered()
    await ended(first)
    told = (await app.told(txn_ref=txn_ref)).body
    assert (told["call_status_dest1"], told["call_status_dest2"]) == ("answered", status)
    assert (told["rate"], told["debit"], told["duration"]) == ("0.040", "0.040", "1")
    assert facts.charges_of(facts.session_of(txn_ref)) == {"1": OUTBOUND}
    assert (await app.status_of(txn_ref))["call_status_dest2"] == status


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [(BUSY, "busy"), (UNAVAILABLE, "unanswered"), (NOT_FOUND, "failed")],
)
async def test_dest1_is_not_reached(
    app: Application, carrier: Carrier, facts: Facts, behaviour: Behaviour, status: str
) -> None:
    """dest2 is never called, nothing is charged, and the end is told."""
    dest1, dest2 = carrier.number(behaviour), carrier.number()
    txn_ref = await app.call(dest1, dest2)
    told = (await app.told(txn_ref=txn_ref)).body
    assert told["call_status_dest1"] == status
    assert told["call_status_dest2"] == "unanswered"
    assert (told["duration"], told["debit"]) == ("0", "0.000")
    assert facts.charges_of(facts.session_of(txn_ref)) == {}
    assert not [one for one in carrier.trunk.invites() if one.request_uri.user == dest2]
    after = await app.status_of(txn_ref)
    assert (after["call_status_dest1"], after["call_status_dest2"]) == (status, "unanswered")


async def test_max_duration_counts_from_the_answer_of_dest2(
    app: Application, carrier: Carrier
) -> None:
    """After a second of conversation both are hung up, however long dest2 rang."""
    dest1, dest2 = carrier.number(), carrier.number(Answer(rings=0.3))
    txn_ref = await app.call(dest1, dest2, max_duration="1")
    first, second = await carrier.call_to(dest1), await carrier.call_to(dest2)
    began_s = await second.answered()
    await ended(first, second)
    assert 0.8 < await second.ended() - began_s < 2.5
    assert (first.end_cause, second.end_cause) == ("peer_hung_up", "peer_hung_up")
    told = (await app.told(txn_ref=txn_ref)).body
    assert (told["call_status_dest1"], told["call_status_dest2"]) == ("answered", "answered")


@pytest.mark.parametrize("when", ["dest1 rings", "dest2 rings", "they talk"])
async def test_voice_hangup(app: Application, carrier: Carrier, when: str) -> None:
    """At any time: whoever rings gets CANCEL, whoever talks BYE, and the end is told once."""
    behaviours = {
        "dest1 rings": (RingForever(), Answer()),
        "dest2 rings": (Answer(), RingForever()),
    }
    of_1, of_2 = behaviours.get(when, (Answer(), Answer()))
    dest1, dest2 = carrier.number(of_1), carrier.number(of_2)
    txn_ref = await app.call(dest1, dest2)
    calls = [await carrier.call_to(dest1)]
    if when != "dest1 rings":
        calls.append(await carrier.call_to(dest2))
        await calls[0].answered()
    if when == "they talk":
        await hear_each_other(*calls)
    for _ in range(2):
        assert (await app.request("voice/hangup", txn_ref=txn_ref))["status"] == "success_ok"
    await ended(*calls)
    causes = {"dest1 rings": ["cancelled"], "dest2 rings": ["peer_hung_up", "cancelled"]}
    assert [call.end_cause for call in calls] == causes.get(when, ["peer_hung_up"] * 2)
    told = (await app.told(txn_ref=txn_ref)).body
    first, second = told["call_status_dest1"], told["call_status_dest2"]
    expected = {"dest1 rings": ("unanswered", "unanswered"), "they talk": ("answered", "answered")}
    assert (first, second) == expected.get(when, ("answered", "unanswered"))
    await asyncio.sleep(0.2)
    assert len(app.sink.received) == 1


async def test_history_tells_of_calls(app: Application, carrier: Carrier) -> None:
    """The newest first, with the same fields as the status."""
    first, second, older = await connected(app, carrier)
    first.hang_up()
    await ended(first, second)
    await app.told(txn_ref=older)
    dest1, dest2 = carrier.number(RingForever()), carrier.number()
    newer = await app.call(dest1, dest2)
    history = await app.request("voice/get_history")
    assert [one["txn_ref"] for one in history["entries"]] == [newer, older]
    assert history["entries"][1] == {
        name: value for name, value in (await app.status_of(older)).items() if name != "status"
    }
    await app.request("voice/hangup", txn_ref=newer)
