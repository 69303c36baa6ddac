"""Rooms: callers who come by a transfer, and numbers that a conference calls.

```
phones                    server                      application
  |== A, B, C talk ========>|                              |
  |<-- A hears B, C --------|                              |
  |                         |<-- transfer room:weekly -----|   D comes by a call of their own
  |<== everybody hears D ==>|                              |
  |                         |<-- moderate mute, kick ------|
  |-- BYE ----------------->|-- transfer (ended) --------->|   for each who came by transfer
  |                         |-- txn_ref, room, … --------->|   for each who was called
```
"""

from __future__ import annotations

import asyncio

import pytest

from tests.functional.calls import ringing
from tests.functional.connected.facts import Facts
from tests.functional.connected.steps import INBOUND, OUTBOUND, ended
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.testing.conversation import be_silent, listen, speak, until_heard, who_hears_whom
from voiceblocks.testing.hearing import gaps
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.speakers import levels

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def enters(
    app: Application,
    phone: Phone,
    room: str,
    *,
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    ptime_ms: int = 20,
    **parameters: str,
) -> tuple[PhoneCall, dict[str, str]]:
    """A caller who is transferred to a room; returns what the application was told of them."""
    call = await phone.call(app.sip(), codecs=codecs, ptime_ms=ptime_ms)
    told = (await app.told(ivr_block="answer")).body
    answer = await app.transfer(told["session"], f"room:{room}", **parameters)
    await call.answered()
    return call, told | {"room": answer["room"]}


def all_others(people: dict[int, PhoneCall]) -> dict[int, set[int]]:
    """What everybody hears in a room."""
    return {who: set(people) - {who} for who in people}


async def in_room(people: dict[int, PhoneCall]) -> None:
    """Wait until each hears exactly all others."""
    speak(people)
    await until_heard(all_others(people), people)


async def test_three_callers_hear_each_other(app: Application, phone: Phone, facts: Facts) -> None:
    """Each hears exactly the others; who leaves is heard no more, and is told and charged."""
    people, told = {}, {}
    for who in range(3):
        people[who], told[who] = await enters(app, phone, "weekly.1", tag=f"tag {who}")
        assert told[who]["room"] == "weekly.1"
    await in_room(people)
    people.pop(1).hang_up()
    await until_heard(all_others(people), people)
    end = (await app.told(ivr_block="transfer", session=told[1]["session"])).body
    assert (end["call_state"], end["transfer_status"], end["tag"]) == ("ended", "answered", "tag 1")
    assert (end["rate"], end["debit"]) == ("0.020", "0.020")
    for call in people.values():
        call.hang_up()
    for who in people:
        end = (await app.told(ivr_block="transfer", session=told[who]["session"])).body
        assert end["transfer_status"] == "answered"
        assert facts.charges_of(told[who]["session"]) == {"1": INBOUND}


async def test_a_new_room(app: Application, phone: Phone) -> None:
    """`room:` answers with the room's name; others find it by that, as libraries write it."""
    first, told = await enters(app, phone, "")
    assert told["room"]
    people = {0: first}
    for who, dest in ((1, f"+1room:{told['room']}"), (2, f"ROOM: {told['room']}")):
        call, session = await ringing(app, phone)
        answer = await app.transfer(session, dest)
        assert answer["room"] == told["room"]
        await call.answered()
        people[who] = call
    await in_room(people)
    other, told_of_other = await enters(app, phone, "")
    assert told_of_other["room"] != told["room"]
    assert who_hears_whom(await listen({9: other}, seconds=0.5)) == {9: set()}


async def test_eight_participants_of_every_kind(
    app: Application, phone: Phone, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Both laws, packets of 10 to 60 ms, callers and called ones: each hears exactly the others.

    The ninth is refused; a place that became free is given away again.
    """
    people = {}
    kinds = [("PCMU", 20), ("PCMA", 10), ("PCMU", 30), ("PCMA", 40), ("PCMU", 60), ("PCMA", 20)]
    for who, (codec, ptime_ms) in enumerate(kinds):
        people[who], told = await enters(app, phone, "all", codecs=(codec,), ptime_ms=ptime_ms)
    monkeypatch.setattr(carrier.trunk, "codecs", ("PCMA",))
    numbers = [carrier.number(), carrier.number()]
    await app.conference(*numbers, room="all")
    for who, number in enumerate(numbers, len(kinds)):
        people[who] = await carrier.call_to(number)
        await people[who].answered()
    await in_room(people)
    heard = await listen(people, seconds=0.6)
    assert who_hears_whom(heard) == all_others(people)
    for who, samples in heard.items():
        for speaker, level in levels(samples).items():
            assert level == pytest.approx(-26, abs=2.0), (who, speaker)
    call, session = await ringing(app, phone)
    assert await app.block("ivr/end/transfer", session, dest="room:all") == "error_dest_too_many"
    answer = await app.request("conference/call", dest=carrier.number(), room="all")
    assert answer["status"] == "error_dest_too_many"
    people.pop(0).hang_up()
    await until_heard({1: set(people) - {1}}, people)
    await app.transfer(session, "room:all")
    await call.answered()
    people[8] = call
    await in_room(people)
    assert told["room"] == "all"


async def test_who_joins_disturbs_nobody(app: Application, phone: Phone) -> None:
    """Two talk on without a gap over 40 ms while a third comes and goes."""
    people = {who: (await enters(app, phone, "calm"))[0] for who in range(2)}
    await in_room(people)
    listening = asyncio.get_running_loop().create_task(listen(people, seconds=2.5))
    third, _told = await enters(app, phone, "calm")
    await asyncio.sleep(0.5)  # time for the others to hear the third
    third.hang_up()
    await ended(third)
    heard = await listening
    assert gaps(heard[0], 1, longer_than_ms=40) == gaps(heard[1], 0, longer_than_ms=40) == []


async def test_who_is_alone_hears_silence(app: Application, phone: Phone) -> None:
    """The last one stays until they hang up; the name then makes a new room."""
    people = {who: (await enters(app, phone, "again"))[0] for who in range(2)}
    await in_room(people)
    people[0].hang_up()
    await until_heard({1: set()}, people)
    assert people[1].is_up
    people[1].hang_up()
    await ended(*people.values())
    for _ in range(2):
        await app.told(ivr_block="transfer", call_state="ended")
    reused = {who: (await enters(app, phone, "again"))[0] for who in (2, 3)}
    await in_room(reused)


async def test_a_room_belongs_to_its_application(
    app: Application, owner: Application, phone: Phone
) -> None:
    """The same name is another application's other room, and its people are out of reach."""
    people = {who: (await enters(app, phone, "ours"))[0] for who in range(2)}
    async with Application(app.server, beside=owner) as other:
        theirs = {}
        for who in (2, 3):
            theirs[who], told = await enters(other, phone, "ours")
        await asyncio.gather(in_room(people), in_room(theirs))
        assert await app.moderate(told["txn_ref"], "kick") == "error_txn_ref_access_denied"
        for call in theirs.values():
            call.hang_up()
        await ended(*theirs.values())


async def test_a_bad_name_is_refused(app: Application, phone: Phone) -> None:
    """Names have letters, digits, `.` and `_`, and 32 characters at most."""
    _call, session = await ringing(app, phone)
    for name in ("a b", "a-b", "x" * 33, "ü", "a,b"):
        status = await app.block("ivr/end/transfer", session, dest=f"room:{name}")
        assert status == "error_invalid_room", name


async def test_moderation(app: Application, phone: Phone, carrier: Carrier) -> None:
    """
    Mute, unmute and kick by transaction: a caller who came by transfer as well as a called one.

    Who is muted goes on hearing; who is kicked is hung up and told as ended.
    """
    people: dict[int, PhoneCall] = {}
    people[0], told = await enters(app, phone, "mod")
    number = carrier.number()
    [called] = await app.conference(number, room="mod", tag="called")
    people[1] = await carrier.call_to(number)
    await people[1].answered()
    people[2], _ = await enters(app, phone, "mod")
    await in_room(people)
    for txn_ref, who in ((told["txn_ref"], 0), (called, 1)):
        for _ in range(2):
            assert await app.moderate(txn_ref, "mute") == "success_ok"
        await until_heard({each: set(people) - {each, who} for each in people}, people)
        assert await app.moderate(txn_ref, "UNMUTE") == "success_ok"
        await until_heard(all_others(people), people)
    assert await app.moderate(told["txn_ref"], "kick") == "success_ok"
    kicked = people.pop(0)
    await ended(kicked)
    assert kicked.end_cause == "peer_hung_up"
    end = (await app.told(ivr_block="transfer", session=told["session"])).body
    assert (end["call_state"], end["transfer_status"]) == ("ended", "answered")
    await until_heard(all_others(people), people)
    assert await app.moderate(called, "kick") == "success_ok"
    await ended(people[1])
    assert (await app.told(txn_ref=called)).body["call_status_dest1"] == "answered"
    for txn_ref in (told["txn_ref"], called):
        assert await app.moderate(txn_ref, "mute") == "error_txn_ref_invalid"
    assert await app.moderate("AA-C-1-000000000000", "mute") == "error_txn_ref_invalid"


async def test_who_is_in_no_room_cannot_be_moderated(app: Application, phone: Phone) -> None:
    """A call that rings is known, but in no room."""
    await phone.call(app.sip())
    told = (await app.told(ivr_block="answer")).body
    assert await app.moderate(told["txn_ref"], "kick") == "error_txn_ref_invalid"
    assert await app.moderate(told["txn_ref"], "dance") == "error_action_invalid"


async def test_forced_hangup_in_a_room(app: Application, phone: Phone) -> None:
    """The block ends a participant as any other call; so does voice/hangup."""
    people = {}
    told = {}
    for who in range(3):
        people[who], told[who] = await enters(app, phone, "out")
    await in_room(people)
    await app.hang_up(told[0]["session"], force="enabled")
    await ended(people[0])
    answer = await app.request("voice/hangup", txn_ref=told[1]["txn_ref"])
    assert answer["status"] == "success_ok"
    await ended(people[1])
    await until_heard({2: set()}, people)
    for who in (0, 1):
        end = (await app.told(ivr_block="transfer", session=told[who]["session"])).body
        assert end["transfer_status"] == "answered"


async def test_the_message_is_said_before_the_room(app: Application, phone: Phone) -> None:
    """Nobody in the room hears it, and who is told it does not hear the room yet."""
    first, _told = await enters(app, phone, "said")
    speak({0: first})
    _call, session = await ringing(app, phone)
    await app.transfer(session, "room:said", msg="You are joining the weekly conference now.")
    await _call.answered()
    heard = await listen({0: first, 1: _call}, seconds=0.8)
    assert who_hears_whom(heard) == {0: set(), 1: set()}
    await in_room({0: first, 1: _call})
    be_silent(first)


async def test_a_called_participant_is_charged_as_called(
    app: Application, carrier: Carrier, facts: Facts
) -> None:
    """One charge for each, at the rate of its number."""
    numbers = [carrier.number() for _ in range(3)]
    txn_refs = await app.conference(*numbers, tag="t")
    people = {who: await carrier.call_to(number) for who, number in enumerate(numbers)}
    for call in people.values():
        await call.answered()
    await in_room(people)
    people[0].hang_up()
    told = (await app.told(txn_ref=txn_refs[0])).body
    assert (told["rate"], told["debit"], told["duration"]) == ("0.040", "0.040", "1")
    assert (told["dest"], told["dest1"], told["tag"]) == (numbers[0], numbers[0], "t")
    assert facts.charges_of(facts.session_of(txn_refs[0])) == {"1": OUTBOUND}
    assert people[1].is_up
    assert people[2].is_up
