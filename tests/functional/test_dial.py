"""Dial: a number is called, hears the message, and is then the application's.

```
application                     server                       carrier
  |-- ivr/start/dial dest, msg --->|                             |
  |<-- session, txn_ref -----------|-- INVITE ------------------>|
  |                                |<------------- 180, 200 -----|
  |                                |-- ACK; RTP: msg ----------->|
  |<-- dial (ongoing, answered) ---|                             |
  |-- ivr/end/hangup ------------->|-- BYE --------------------->|
  |<-- hangup (ended) -------------|                             |
```

A call that nobody answers is told in one notification, and costs nothing:

```
  |-- ivr/start/dial ring_time=5 ->|-- INVITE ------------------>|
  |<-- session, txn_ref -----------|<------------- 180 ----------|
  |                                |-- CANCEL after 5 s -------->|
  |<-- dial (ended, unanswered) ---|<------------- 487 ----------|
```
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from tests.functional.calls import decode
from tests.functional.outgoing import Carrier
from tests.functional.spoken import Spoken
from tests.harness import Application, ServerProcess
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.audio.resample import SPEECH_LEVEL_DBFS
from voiceblocks.database import charges
from voiceblocks.database.unit_of_work import Database
from voiceblocks.testing import tone_code
from voiceblocks.testing.answering import (
    BUSY,
    DECLINED,
    NOT_FOUND,
    OVERLOADED,
    UNAVAILABLE,
    Answer,
    AnswerAtCancel,
    Behaviour,
    ByHand,
    Dead,
    EarlyMedia,
    Refuse,
    RingForever,
    TryForever,
)
from voiceblocks.testing.digest_server import DigestServer
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.phone import PhoneCall
from voiceblocks.testing.webhook_sink import ReceivedNotification

pytestmark = pytest.mark.asyncio(loop_scope="session")

RING_S = 5
"The shortest ring time that there is."

HUNG_UP = "peer_hung_up"

ENDED = {"date", "duration", "currency", "rate", "debit", "charge_id"}
ONGOING = {
    "ivr_block", "session", "txn_ref", "dest", "tag", "call_state", "dial_status", "dial_cause",
}  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def carrier(app: Application) -> AsyncIterator[Carrier]:
    """A trunk of the server."""
    async with Carrier(app) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def spoken() -> AsyncIterator[Spoken]:
    """Messages of tone code."""
    async with Spoken() as made:
        yield made


async def up(app: Application, carrier: Carrier, **parameters: str) -> tuple[PhoneCall, str]:
    """A dialled call that has finished its dial block."""
    number = carrier.number()
    dialled = await app.dial(number, **parameters)
    call = await carrier.call_to(number)
    await call.answered()
    await app.told(ivr_block="dial", call_state="ongoing")
    return call, dialled["session"]


async def over(call: PhoneCall, limit_s: float = 5) -> float:
    """The second at which the call ends, which must be soon."""
    async with asyncio.timeout(limit_s):
        return await call.ended()


async def charge_ids(app: Application, session: str) -> list[str]:
    """What was charged for a call."""
    database = Database(app.server.database_url)
    try:
        return [c.id for c in await database.run(lambda c: charges.list_of_session(c, session))]
    finally:
        database.close()


def check_unanswered(
    told: ReceivedNotification, status: str, cause: str, *, call_end: str | None = None
) -> None:
    """The call is over, for nothing."""
    body = told.body
    assert set(body) == ONGOING | ENDED | ({"call_end"} if call_end else set())
    assert body.get("call_end") == call_end
    assert (body["call_state"], body["dial_status"], body["dial_cause"]) == ("ended", status, cause)
    assert (body["duration"], body["debit"], body["rate"]) == ("0", "0.000", "0.040")


async def test_an_answered_dial_says_its_message_and_is_told(
    app: Application, carrier: Carrier, spoken: Spoken
) -> None:
    """
    The whole way: answer, notification and message are as documented, and the call is ours.

    Every second of the message is heard, in its place, at its level, and nothing beside it;
    then blocks run as on any call, and the end costs one charge.
    """
    number = carrier.number(Answer(rings=0.1))
    answer = await app.dial(number, msg=spoken.msg(0, 2), tag="order-77")
    assert set(answer) == {"status", "txn_ref", "session"}
    assert re.fullmatch(r"AA-S-1-\w+", answer["txn_ref"])
    call = await carrier.call_to(number)
    assert call.dialled == number
    assert app.number in call.header("From")
    answered_s = await call.answered()
    told = await app.told(ivr_block="dial")
    assert told.body == {
        "ivr_block": "dial",
        "session": answer["session"],
        "txn_ref": answer["txn_ref"],
        "dest": number,
        "tag": "order-77",
        "call_state": "ongoing",
        "dial_status": "answered",
        "dial_cause": "answered",
    }
    assert told.at_s - answered_s >= 1.9

    audio = call.media.audio()
    seconds = tone_code.decode_seconds(audio)
    begin_ms = seconds[0].starts_at_ms
    assert not tone_code.check(audio, 0, 2, begin_ms)
    assert all(abs(one.level_dbfs - SPEECH_LEVEL_DBFS) < 2 for one in seconds)
    assert begin_ms < 300

    await app.record(answer["session"])
    await call.media.beep_ended()
    await call.media.say(tone_code.encode_seconds(7, 1))
    await call.media.press("#")
    record = await app.told(ivr_block="record")
    assert record.body["dest"] == number
    assert "from" not in record.body
    recorded = decode(await app.fetch(record.body["record_url"]))
    assert [one.second_index for one in tone_code.decode_seconds(recorded)] == [7]

    await app.hang_up(answer["session"], tag="done")
    ended = await app.told(ivr_block="hangup")
    await over(call)
    assert call.end_cause == HUNG_UP
    assert (ended.body["dest"], ended.body["tag"]) == (number, "done")
    assert (ended.body["duration"], ended.body["rate"], ended.body["debit"]) == (
        "1", "0.040", "0.040",
    )  # fmt: skip
    assert await charge_ids(app, answer["session"]) == [f"chg_{answer['session']}_1"]


async def test_a_spoken_message_is_heard(app: Application, carrier: Carrier) -> None:
    """Text becomes speech of some length and level, and the notification waits for its end."""
    call, _session = await up(app, carrier, msg="This is your clinic. Please press one.")
    audio = call.media.audio()
    assert len(audio) > 1.2 * 8000
    loud = [rms_dbfs(audio[at : at + 1600]) for at in range(0, len(audio) - 1600, 1600)]
    assert max(loud) > -30


OUTCOMES: list[tuple[Behaviour, str, str]] = [
    (BUSY, "busy", "busy"),
    (Refuse(status=600), "busy", "busy"),
    (DECLINED, "busy", "rejected"),
    (UNAVAILABLE, "unanswered", "no_answer"),
    (Refuse(status=408, rings=0.05), "unanswered", "no_answer"),
    (NOT_FOUND, "failed", "failed"),
    (Refuse(status=484), "failed", "failed"),
    (Refuse(status=500), "failed", "failed"),
    (Refuse(status=503, rings=0.05), "failed", "failed"),
    (OVERLOADED, "failed", "failed"),
    (Refuse(status=488), "failed", "failed"),
    (Refuse(status=403), "failed", "failed"),
]


async def test_each_way_to_fail_is_told_in_its_word(app: Application, carrier: Carrier) -> None:
    """Busy, declined, away, unknown, overloaded: one notification each, nothing to pay."""
    expected = {}
    for behaviour, status, cause in OUTCOMES:
        number = carrier.number(behaviour)
        expected[number] = status, cause
        answer = await app.dial(number, msg="You will never hear this.")
        told = await app.told(dest=number)
        check_unanswered(told, status, cause)
        assert await app.block("ivr/middle/play", answer["session"]) == "error_session_ended"
        asked = await app.status_of(answer["txn_ref"])
        assert asked["call_status_dest1"] == status
        assert asked["debit"] == "0.000"
        assert await charge_ids(app, answer["session"]) == []
    assert len(app.sink.received) == len(expected)
    assert len(carrier.trunk.invites()) == len(expected)


async def test_a_ring_time_ends_with_cancel(app: Application, carrier: Carrier) -> None:
    """
    `ring_time`, or `ringtime`: after so long CANCEL, `unanswered`, nothing to pay.

    Also where nobody rings, and where somebody picks up in the same moment: that call is hung up.
    """
    rings, old, tries, crosses = (
        carrier.number(behaviour)
        for behaviour in (RingForever(), RingForever(), TryForever(), AnswerAtCancel())
    )
    began_s = asyncio.get_running_loop().time()
    await app.dial(rings, ring_time=str(RING_S))
    await app.dial(old, ringtime=str(RING_S))
    await app.dial(tries, ring_time="1")
    await app.dial(crosses, ring_time=str(RING_S))
    for number in (rings, old, tries, crosses):
        told = await app.told(dest=number)
        check_unanswered(told, "unanswered", "no_answer")
        assert RING_S - 0.2 < told.at_s - began_s < RING_S + 2
        call = await carrier.call_to(number)
        await over(call)
        assert call.end_cause == (HUNG_UP if number == crosses else "cancelled")
    cancels = [one for one in carrier.trunk.requests if one.request.method == "CANCEL"]
    assert len(cancels) == 4
    assert len(app.sink.received) == 4


async def test_a_second_trunk_takes_what_the_first_cannot(app: Application) -> None:
    """
    503, and silence, send a call to the next trunk; once it rang, and for a busy phone, not.

    The failed attempts leave nothing behind: the call is up once and is charged once.
    """
    async with Carrier(app) as first, Carrier(app, second_to=first) as second:
        overloaded, dead = first.number(OVERLOADED), first.number(Dead())
        busy, rang = first.number(BUSY), first.number(Refuse(status=503, rings=0.05))
        for number in (overloaded, dead, busy, rang):
            second.trunk.route(number, Answer())
        answers = [await app.dial(number) for number in (overloaded, dead, busy, rang)]
        for number in (overloaded, dead):
            call = await second.call_to(number)
            await call.answered()
            told = await app.told(dest=number)
            assert told.body["dial_status"] == "answered"
        check_unanswered(await app.told(dest=busy), "busy", "busy")
        check_unanswered(await app.told(dest=rang), "failed", "failed")
        assert len(first.trunk.invites()) >= 4
        assert len(second.trunk.invites()) == 2
        for answer in answers[:2]:
            await app.hang_up(answer["session"])
            await app.told(ivr_block="hangup", session=answer["session"])
            assert len(await charge_ids(app, answer["session"])) == 1


async def test_a_carrier_s_challenge_is_answered(app: Application) -> None:
    """With the right password the call goes through; with a wrong one it failed, once."""
    digest = DigestServer("us", "secret", proxy=True)
    async with Carrier(app, FakeTrunk(digest=digest), username="us", password="secret") as carrier:
        call, session = await up(app, carrier)
        invites = carrier.trunk.invites()
        assert [bool(one.headers.get("Proxy-Authorization")) for one in invites] == [False, True]
        await app.hang_up(session)
        await over(call)
    digest = DigestServer("us", "secret")
    async with Carrier(app, FakeTrunk(digest=digest), username="us", password="wrong") as carrier:
        number = carrier.number()
        await app.dial(number)
        check_unanswered(await app.told(dest=number), "failed", "failed")
        assert len(carrier.trunk.invites()) == 2


async def test_early_media_are_in_no_recording(app: Application, carrier: Carrier) -> None:
    """The call begins with its answer: what was announced before is neither heard nor kept."""
    announcement = EarlyMedia(plays=tone_code.encode_seconds(100, 1))
    number = carrier.number(Answer(early_media=announcement))
    session = (await app.dial(number))["session"]
    call = await carrier.call_to(number)
    answered_s = await call.answered()
    told = await app.told(ivr_block="dial")
    assert told.at_s >= answered_s
    # Nothing of it comes back to whoever sent it.
    assert not np.any(np.abs(call.media.audio()) > 200)
    await app.record(session)
    await call.media.beep_ended()
    await call.media.say(tone_code.encode_seconds(3, 1))
    await call.media.press("#")
    record = await app.told(ivr_block="record")
    heard = tone_code.decode_seconds(decode(await app.fetch(record.body["record_url"])))
    assert [one.second_index for one in heard] == [3]


async def test_an_announcement_before_a_refusal_is_no_answer(
    app: Application, carrier: Carrier
) -> None:
    """183 with sound and then 404, as carriers do for unknown numbers: failed, nothing to pay."""
    announcement = EarlyMedia(plays=tone_code.encode_seconds(100, 1))
    number = carrier.number(Refuse(status=404, early_media=announcement))
    await app.dial(number, msg="Hello.")
    check_unanswered(await app.told(dest=number), "failed", "failed")


async def test_the_far_end_leaves_during_the_message(
    app: Application, carrier: Carrier, spoken: Spoken
) -> None:
    """One notification: the dial's, answered and ended, with the charge."""
    number = carrier.number()
    session = (await app.dial(number, msg=spoken.msg(0, 20)))["session"]
    call = await carrier.call_to(number)
    await call.media.talking.wait()
    call.hang_up()
    told = await app.told(ivr_block="dial")
    assert set(told.body) == ONGOING | ENDED
    assert (told.body["call_state"], told.body["dial_status"]) == ("ended", "answered")
    assert (told.body["duration"], told.body["debit"]) == ("1", "0.040")
    assert await app.block("ivr/middle/play", session) == "error_session_ended"
    assert len(await charge_ids(app, session)) == 1
    assert len(app.sink.received) == 1


async def test_max_duration_ends_the_call(app: Application, carrier: Carrier) -> None:
    """So long after the answer, whatever runs; the application is told by its last URL."""
    number = carrier.number()
    await app.dial(number, max_duration="1", notify_url=app.url("/dialled"))
    call = await carrier.call_to(number)
    answered_s = await call.answered()
    ongoing = await app.told(ivr_block="dial")
    assert ongoing.body["call_state"] == "ongoing"
    assert 0.8 < await over(call) - answered_s < 2
    assert call.end_cause == HUNG_UP
    ended = await app.told(call_state="ended")
    assert ended.path.endswith("/dialled")
    assert ended.body["dial_status"] == "answered"
    assert ended.body["debit"] == "0.040"


async def test_max_duration_does_not_count_ringing(
    app: Application, carrier: Carrier, spoken: Spoken
) -> None:
    """It begins with the answer, and cuts a message off."""
    number = carrier.number(Answer(rings=0.3))
    await app.dial(number, max_duration="1", msg=spoken.msg(0, 20))
    call = await carrier.call_to(number)
    answered_s = await call.answered()
    assert 0.8 < await over(call) - answered_s < 2
    told = await app.told(ivr_block="dial")
    assert (told.body["call_state"], told.body["dial_status"]) == ("ended", "answered")


async def test_what_the_far_end_sees(app: Application) -> None:
    """`private` shows nothing anywhere; an own number stands in From and in the identity."""
    async with Carrier(app, caller_in="pai") as carrier, Application(app.server, beside=app) as two:
        for word in ("private", "P"):
            hidden = carrier.number()
            await app.dial(hidden, caller_id=word)
            call = await carrier.call_to(hidden)
            assert call.header("From").startswith('"Anonymous" <sip:anonymous@anonymous.invalid>')
            assert call.header("Privacy") == "id"
            assert app.number[1:] not in str(call.request)
        for number in (app.number, two.number):
            shown = carrier.number()
            await app.dial(shown, caller_id=number)
            call = await carrier.call_to(shown)
            assert f"sip:{number}@" in call.header("From")
            assert f"sip:{number}@" in call.header("P-Asserted-Identity")
            assert call.header("Privacy") == ""
        await app.server.cli("account", "set", app.account_id, registered_number="+6531580000")
        shown = carrier.number()
        await app.dial(shown)
        call = await carrier.call_to(shown)
        assert "sip:+6531580000@" in call.header("P-Asserted-Identity")


async def test_without_notify_url_it_is_hung_up_after_the_message(
    app: Application, carrier: Carrier, spoken: Spoken
) -> None:
    """The message is heard whole; nothing is sent, and query_status tells the rest."""
    number = carrier.number()
    answer = await app.dial(number, msg=spoken.msg(4, 1), notify_url="")
    call = await carrier.call_to(number)
    assert await app.block("ivr/middle/play", answer["session"]) in {
        "error_session_not_ready", "error_session_ended",
    }  # fmt: skip
    await over(call)
    assert call.end_cause == HUNG_UP
    audio = call.media.audio()
    assert not tone_code.check(audio, 4, 1, tone_code.decode_seconds(audio)[0].starts_at_ms)
    busy = carrier.number(BUSY)
    unanswered = await app.dial(busy, notify_url="")
    await carrier.call_to(busy)
    for asked, status, debit in ((answer, "answered", "0.040"), (unanswered, "busy", "0.000")):
        facts = await app.settled(asked["txn_ref"])
        assert (facts["call_status_dest1"], facts["debit"]) == (status, debit)
    assert app.sink.received == []


@pytest.mark.parametrize("how", ["block", "voice"])
async def test_a_hangup_while_it_rings_is_a_cancel(
    app: Application, carrier: Carrier, how: str
) -> None:
    """Forced, by block or by `voice/hangup`: the phone stops ringing, and both blocks are told."""
    number = carrier.number(RingForever())
    answer = await app.dial(number)
    call = await carrier.call_to(number)
    polite = await app.block("ivr/end/hangup", answer["session"])
    assert polite == "error_session_not_ready"
    if how == "block":
        await app.hang_up(answer["session"], force="enabled", tag="enough")
    else:
        given = {"txn_ref": answer["txn_ref"]}
        assert await app.request("voice/hangup", **given) == {"status": "success_ok"}
    await over(call)
    assert call.end_cause == "cancelled"
    check_unanswered(await app.told(ivr_block="dial"), "unanswered", "cancelled")
    if how == "block":
        told = await app.told(ivr_block="hangup")
        assert (told.body["tag"], told.body["debit"]) == ("enough", "0.000")


async def test_a_hangup_at_once_leaves_no_call_behind(app: Application, carrier: Carrier) -> None:
    """Before the far end rang at all: it is cancelled all the same, or never called."""
    number = carrier.number(ByHand())
    answer = await app.dial(number)
    await app.hang_up(answer["session"], force="enabled")
    check_unanswered(await app.told(ivr_block="dial"), "unanswered", "cancelled")
    await app.told(ivr_block="hangup")
    if carrier.trunk.invites():
        call = await carrier.call_to(number)
        # RFC 3261 9.1: no CANCEL before a provisional response.
        call.ring()
        await over(call)
        assert call.end_cause == "cancelled"


async def test_a_stopping_server_cancels_what_rings(data_dir: Path) -> None:
    """SIGTERM: no new calls; after the drain time CANCEL, and the application is told."""
    server = await ServerProcess(data_dir, {"DRAIN_TIMEOUT_S": "1"}).start()
    async with Application(server) as app, Carrier(app) as carrier:
        number, late = carrier.number(RingForever()), carrier.number()
        answer = await app.dial(number, tag="ringing")
        call = await carrier.call_to(number)
        stopping = asyncio.create_task(server.stop(signal.SIGTERM))
        await asyncio.sleep(0.4)
        refused = await app.dial(late, tag="late")
        assert await stopping == 0
        await over(call)
        assert call.end_cause == "cancelled"
        assert len(carrier.trunk.invites()) == 1
        # What could not be told in time is told after the start.
        await server.start()
        told = await app.told(session=answer["session"])
        check_unanswered(told, "unanswered", "cancelled", call_end="server_restart")
        check_unanswered(await app.told(session=refused["session"]), "failed", "failed")
        assert (await app.status_of(answer["txn_ref"]))["call_status_dest1"] == "unanswered"
        assert await server.stop() == 0


async def test_a_trunk_of_the_command_line_is_used_at_once(app: Application) -> None:
    """`trunk add` and `account allow` while the server runs: the next dial goes that way."""
    async with FakeTrunk("127.6.0.1", default=Answer()) as trunk:
        await app.allow("+3312")
        await app.server.add_trunk("typed", trunk.address, prefix=("+3312",), number_format="plain")
        await app.dial("+33123456789")
        call = await trunk.incoming(10)
        assert call.dialled == "33123456789"
        assert (await app.told(ivr_block="dial")).body["dial_status"] == "answered"
