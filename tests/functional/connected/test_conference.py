"""`conference/call` and `voice/conference`: numbers are called into a room.

```
application               server                    numbers
  |-- conference/call ---->|                           |
  |<-- txn_refs, room -----|                           |
  |                        |-- INVITE, INVITE, … ----->|  all at once
  |                        |<---- 200, 200, 486 -------|
  |                        |<== each hears the others =|
  |<-- one for each -------|                           |
```
"""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.functional.connected.facts import Facts
from tests.functional.connected.steps import OUTBOUND, ended, hear_each_other
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.testing.answering import BUSY, UNAVAILABLE, RingForever
from voiceblocks.testing.conversation import speak, until_heard
from voiceblocks.testing.phone import PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def answered(carrier: Carrier, *numbers: str) -> list[PhoneCall]:
    """Their calls, once they are up."""
    calls = [await carrier.call_to(number) for number in numbers]
    for call in calls:
        await call.answered()
    return calls


async def test_the_two_paths_differ_in_txn_refs_only(
    app: Application, carrier: Carrier, facts: Facts
) -> None:
    """An array from one, a text with commas from the other; both call all numbers."""
    for path in ("conference/call", "voice/conference"):
        numbers = [carrier.number(), carrier.number()]
        answer = await app.accepted(path, dest=",".join(numbers), tag=path)
        txn_refs = answer["txn_refs"]
        if path == "voice/conference":
            assert isinstance(txn_refs, str)
            txn_refs = txn_refs.split(",")
        assert isinstance(txn_refs, list)
        assert len(set(txn_refs)) == 2
        assert all(re.fullmatch(r"AA-C-1-\w{12}", one) for one in txn_refs)
        calls = await answered(carrier, *numbers)
        await hear_each_other(*calls)
        during = await app.status_of(txn_refs[0])
        assert (during["call_status_dest1"], during["room"]) == ("ongoing", answer["room"])
        for call, number, txn_ref in zip(calls, numbers, txn_refs, strict=True):
            call.hang_up()
            told = (await app.told(txn_ref=txn_ref)).body
            assert told.pop("date")
            assert told == {
                "txn_ref": txn_ref,
                "tag": path,
                "room": answer["room"],
                "dest": number,
                "dest1": number,
                "call_status_dest1": "answered",
                "duration": "1",
                "currency": "SGD",
                "rate": "0.040",
                "debit": "0.040",
                "charge_id": f"chg_{facts.session_of(txn_ref)}_1",
            }
            assert facts.charges_of(facts.session_of(txn_ref)) == {"1": OUTBOUND}
    assert len(app.sink.received) == 4


async def test_who_does_not_answer_keeps_nobody_out(
    app: Application, carrier: Carrier, facts: Facts
) -> None:
    """Each is told for themselves; the others talk."""
    numbers = [
        carrier.number(),
        carrier.number(BUSY),
        carrier.number(),
        carrier.number(UNAVAILABLE),
    ]
    txn_refs = await app.conference(*numbers)
    calls = await answered(carrier, numbers[0], numbers[2])
    for place, status in ((1, "busy"), (3, "unanswered")):
        told = (await app.told(txn_ref=txn_refs[place])).body
        assert (told["call_status_dest1"], told["debit"]) == (status, "0.000")
        assert (told["dest"], told["duration"]) == (numbers[place], "0")
        assert facts.charges_of(facts.session_of(txn_refs[place])) == {}
    await hear_each_other(*calls)
    for call in calls:
        call.hang_up()
    await ended(*calls)


async def test_later_ones_join_the_room(app: Application, carrier: Carrier) -> None:
    """By its name; a number that comes twice is called once."""
    first, second, third = (carrier.number() for _ in range(3))
    answer = await app.accepted("conference/call", dest=f"{first},{second}")
    calls = await answered(carrier, first, second)
    await hear_each_other(*calls)
    again = await app.accepted("conference/call", dest=f"{third},{third[1:]}", room=answer["room"])
    assert again["room"] == answer["room"]
    assert len(again["txn_refs"]) == 1
    await hear_each_other(*calls, *await answered(carrier, third))
    for call in calls:
        call.hang_up()
    await ended(*calls)


async def test_hangup_and_kick_of_one_who_rings(app: Application, carrier: Carrier) -> None:
    """`voice/hangup` stops the ringing; a participant that is not in the room is no one's."""
    numbers = [carrier.number(), carrier.number(RingForever())]
    txn_refs = await app.conference(*numbers, room="ringing")
    [first] = await answered(carrier, numbers[0])
    second = await carrier.call_to(numbers[1])
    assert await app.moderate(txn_refs[1], "kick") == "error_txn_ref_invalid"
    assert (await app.request("voice/hangup", txn_ref=txn_refs[1]))["status"] == "success_ok"
    await ended(second)
    assert second.end_cause == "cancelled"
    told = (await app.told(txn_ref=txn_refs[1])).body
    assert told["call_status_dest1"] == "unanswered"
    assert first.is_up
    assert (await app.request("voice/hangup", txn_ref=txn_refs[0]))["status"] == "success_ok"
    await ended(first)
    assert (await app.told(txn_ref=txn_refs[0])).body["call_status_dest1"] == "answered"


async def test_caller_ids_in_a_conference(app: Application, carrier: Carrier) -> None:
    """The own number if omitted, none if private, and no foreign one."""
    one, two = carrier.number(), carrier.number()
    await app.conference(one)
    await app.conference(two, caller_id="p")
    first, second = await answered(carrier, one, two)
    assert f"sip:{app.number}@" in first.header("From")
    assert "anonymous" in second.header("From")
    answer = await app.request("conference/call", dest=one, caller_id="+6591119999")
    assert answer["status"] == "error_caller_id_invalid"
    for call in (first, second):
        call.hang_up()
    await ended(first, second)


async def test_all_or_none(app: Application, carrier: Carrier) -> None:
    """One number that may not be called, and nobody is; nor into a room without place for all."""
    numbers = [carrier.number() for _ in range(9)]
    calls = len(carrier.trunk.invites())
    for dest, status in (
        (f"{numbers[0]},+441514960000", "error_dest_not_supported"),
        (f"{numbers[0]},12", "error_dest_invalid"),
        (",".join(numbers), "error_dest_too_many"),
    ):
        answer = await app.request("conference/call", dest=dest)
        assert answer["status"] == status
    answer = await app.request("conference/call", dest=numbers[0], room="a-b")
    assert answer["status"] == "error_invalid_room"
    await asyncio.sleep(0.2)  # silence is what is asserted: nobody is called
    assert len(carrier.trunk.invites()) == calls


async def test_two_rooms_are_apart(app: Application, carrier: Carrier) -> None:
    """Each new room has a name of its own, and nobody hears the other one."""
    numbers = [carrier.number() for _ in range(4)]
    rooms = [
        (await app.accepted("conference/call", dest=",".join(numbers[start : start + 2])))["room"]
        for start in (0, 2)
    ]
    assert len(set(rooms)) == 2
    calls = await answered(carrier, *numbers)
    await hear_each_other(*calls[:2])
    people = {2: calls[2], 3: calls[3]}
    speak(people)
    await until_heard({2: {3}, 3: {2}}, people)
    for call in calls:
        call.hang_up()
    await ended(*calls)
