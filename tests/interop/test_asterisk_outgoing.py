"""Our server with a real Asterisk 22 as its carrier: calls out, transfers, calls in.

```
Asterisk (carrier)                    server                       application
  |<-- INVITE, 401, ACK, INVITE --------|<------------- ivr/start/dial -|
  |--- 180, 200 ----------------------->|-- dial (answered) ----------->|
  |                                     |<----------- ivr/end/transfer -|
  |<-- INVITE (another of its phones) --|                               |
  |=== each hears the other ===========>|                               |
  |--- BYE ---------------------------->|-- transfer (ended) ---------->|
```

Numbers go both ways as the carrier writes them: inside its country without country code.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.functional.calls import decode, waiting_for_a_block
from tests.harness import Application, ServerProcess
from tests.interop import asterisk_trunk as numbers
from tests.interop.asterisk_trunk import PASSWORD, TALKERS, USERNAME, AsteriskTrunk
from tests.interop.peers import until
from voiceblocks.testing.conversation import listen
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.sounds import silence
from voiceblocks.testing.speakers import LEVEL_DBFS, levels, who_is_heard

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

LIMIT_S = 15.0


@dataclass
class Behind:
    """A server, and the Asterisk that is its carrier."""

    server: ServerProcess
    trunk: AsteriskTrunk


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(
    server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Behind]:
    """One Asterisk for all."""
    async with AsteriskTrunk(tmp_path_factory.mktemp("pbx")) as trunk:
        await server.add_trunk(
            "carrier", trunk.address, username=USERNAME, password=PASSWORD,
            country="SG", number_format="national",
        )  # fmt: skip
        yield Behind(server, trunk)


@pytest_asyncio.fixture(loop_scope="module")
async def phone() -> AsyncIterator[Phone]:
    """A phone that is no phone of the carrier's: our server knows a trunk by its address."""
    async with Phone("127.0.0.2") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def app(behind: Behind) -> AsyncIterator[Application]:
    """An application that may call the carrier's numbers."""
    async with Application(behind.server) as application:
        await application.allow("+659111")
        yield application


async def reached(app: Application, number: str, **parameters: str) -> tuple[str, str, str]:
    """How a call went: `dial_status`, `dial_cause`, and the session."""
    session = (await app.dial(number, **parameters))["session"]
    told = await app.told(ivr_block="dial")
    return told.body["dial_status"], told.body.get("dial_cause", ""), session


@pytest.mark.parametrize(
    ("number", "status", "cause"),
    [
        (numbers.BUSY, "busy", "busy"),
        (numbers.ANNOUNCED_BUSY, "busy", "busy"),
        (numbers.REJECTED, "failed", "failed"),
        (numbers.CONGESTED, "failed", "failed"),
        (numbers.UNALLOCATED, "failed", "failed"),
    ],
)
async def test_refusals(
    behind: Behind, app: Application, number: str, status: str, cause: str
) -> None:
    """Each way in which it refuses, also after an announcement, is told by its word, uncharged."""
    await app.dial(number)
    told = await app.told(ivr_block="dial", call_state="ended")
    assert (told.body["dial_status"], told.body["dial_cause"]) == (status, cause)
    assert told.body["debit"] == "0.000"
    await behind.trunk.hung_up()


async def test_nobody_answers(behind: Behind, app: Application) -> None:
    """After `ring_time` we give up, and Asterisk has nothing left of the call."""
    await app.dial(numbers.NO_ANSWER, ring_time="5")
    told = await app.told(ivr_block="dial", call_state="ended")
    assert told.body["dial_status"] == "unanswered"
    await behind.trunk.hung_up()


async def test_a_call_out(behind: Behind, app: Application) -> None:
    """
    A talker answers the digest-authenticated call, is recorded, and hears the prompt.

    Asterisk saw a national number, and who calls.
    """
    status, _cause, session = await reached(app, TALKERS[2])
    assert status == "answered"
    await app.record(session, msg="Good morning.", max_duration="2")
    recorded = await app.told(ivr_block="record")
    samples = decode(await app.fetch(recorded.body["record_url"]))
    assert levels(samples, 300, 1700) == pytest.approx({2: LEVEL_DBFS}, abs=1)
    await app.hang_up(session)
    await app.told(ivr_block="hangup", call_state="ended")
    await behind.trunk.hung_up()
    heard = behind.trunk.heard(TALKERS[2])
    assert abs(heard).max() > 1000
    assert who_is_heard(heard) == []
    seen = behind.trunk.seen()[-1]
    assert seen.to == TALKERS[2].removeprefix("+65")
    assert seen.caller == app.number.removeprefix("+65")


async def test_a_withheld_number(behind: Behind, app: Application) -> None:
    """`caller_id=private` reaches it as a caller who is not to be shown."""
    await app.dial(numbers.SHORT, caller_id="private")
    await app.told(ivr_block="dial", dial_status="answered")
    await app.told(call_state="ended")
    seen = behind.trunk.seen()[-1]
    assert (seen.caller, seen.privacy) == ("anonymous", "id")
    assert app.number.removeprefix("+65") not in str(seen)
    await behind.trunk.hung_up()


async def test_early_media_and_answer(behind: Behind, app: Application) -> None:
    """An announcement before the answer keeps no call from being answered."""
    status, _cause, session = await reached(app, numbers.ANNOUNCED)
    assert status == "answered"
    await app.hang_up(session)
    await app.told(ivr_block="hangup", call_state="ended")
    await behind.trunk.hung_up()


async def test_a_transfer_between_two_of_its_phones(behind: Behind, app: Application) -> None:
    """Two talkers are connected, through us, and each recorded the other and not itself."""
    dialled = await app.dial(TALKERS[1])
    session, txn_ref = dialled["session"], dialled["txn_ref"]
    await app.told(ivr_block="dial", dial_status="answered")
    await app.transfer(session, TALKERS[3])
    await until(lambda: recorded_ms(behind.trunk, TALKERS[3]) > 1500, LIMIT_S, "the third talks")
    await app.accepted("voice/hangup", txn_ref=txn_ref)
    told = await app.told(call_state="ended")
    assert told.body["transfer_status"] == "answered"
    await behind.trunk.hung_up()
    for number, other in ((TALKERS[1], 3), (TALKERS[3], 1)):
        passages = who_is_heard(behind.trunk.heard(number))
        assert {passage.speaker for passage in passages} == {other}
        assert sum(passage.lasts_ms for passage in passages) > 1000


def recorded_ms(trunk: AsteriskTrunk, number: str) -> float:
    """How much a talker has recorded so far of what it hears."""
    files = sorted(trunk.folder.glob(f"heard-{number[-2:]}-*.wav"))
    return files[-1].stat().st_size / 16 if files else 0.0


async def test_keys_to_us(app: Application) -> None:
    """A far end that presses 1234# is gathered."""
    _status, _cause, session = await reached(app, numbers.PRESSES)
    await app.accepted("ivr/middle/gather", session=session, timeout="10")
    assert (await app.told(ivr_block="gather")).body["digits"] == "1234"
    await app.hang_up(session)


async def test_keys_through_us(behind: Behind, app: Application, phone: Phone) -> None:
    """What a caller presses in a conversation reaches the far end, each key once."""
    call, session = await waiting_for_a_block(app, phone)
    await app.transfer(session, numbers.LISTENS)
    async with asyncio.timeout(LIMIT_S):
        while not await behind.trunk.command("core show channels concise"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await listen({0: call}, seconds=2)
    for key in "2580":
        await call.media.press(key)
        await call.media.say(silence(100))
    await until(lambda: behind.trunk.digits() == ["2580"], LIMIT_S, "Asterisk read 2580")
    call.hang_up()
    await app.told(ivr_block="transfer", call_state="ended")
    await behind.trunk.hung_up()


async def test_a_call_to_us(behind: Behind, app: Application) -> None:
    """
    A call for a national number finds its application, with the caller's whole number.

    A caller who withholds the number is `private`. What the talker says is recorded.
    """
    national = app.number.removeprefix("+65")
    await behind.trunk.call(national, caller="98765432", talker=2, to=behind.server.sip)
    answer = await app.told(ivr_block="answer", call_state="ringing")
    assert (answer.body["from"], answer.body["to"]) == ("+6598765432", app.number)
    await app.record(answer.body["session"], max_duration="3")
    recorded = await app.told(ivr_block="record")
    samples = decode(await app.fetch(recorded.body["record_url"]))
    # It begins to speak a second after it has connected us.
    assert set(levels(samples, 1500, 2500)) == {2}
    await app.hang_up(answer.body["session"])
    await behind.trunk.hung_up()
    await behind.trunk.call(national, caller="98765432", to=behind.server.sip, shown=False)
    answer = await app.told(ivr_block="answer", call_state="ringing")
    assert answer.body["from"] == "private"
    await app.hang_up(answer.body["session"])
    await behind.trunk.hung_up()
