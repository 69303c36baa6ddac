"""A transfer that reaches nobody, or has to try more than once.

```
phone                     server                      carrier
  |<==== ring tone =========|-- INVITE ----------------->|
  |                         |<---- 486 ------------------|
  |                         |-- transfer (ongoing, busy) --> application
  |                         |<-- play --------------------- "
  |<==== audio =============|
```
"""

from __future__ import annotations

import asyncio

import pytest

from tests.functional.calls import ringing
from tests.functional.connected.facts import Facts
from tests.functional.connected.steps import INBOUND, OUTBOUND, ended, hear_each_other
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.testing.answering import (
    BUSY,
    DECLINED,
    NOT_FOUND,
    OVERLOADED,
    UNAVAILABLE,
    Behaviour,
    Refuse,
    RingForever,
    moved_to,
)
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

FATES = [
    pytest.param(BUSY, "busy", "busy", id="busy"),
    pytest.param(Refuse(status=600, rings=0.02), "busy", "busy", id="busy everywhere"),
    pytest.param(DECLINED, "busy", "rejected", id="declined"),
    pytest.param(UNAVAILABLE, "unanswered", "no_answer", id="unavailable"),
    pytest.param(NOT_FOUND, "failed", "failed", id="no such number"),
    pytest.param(Refuse(status=500), "failed", "failed", id="the carrier's fault"),
]


@pytest.mark.parametrize(("behaviour", "status", "cause"), FATES)
async def test_the_call_goes_on_where_it_was_asked_to(
    app: Application,
    phone: Phone,
    carrier: Carrier,
    facts: Facts,
    behaviour: Behaviour,
    status: str,
    cause: str,
) -> None:
    """Told with the call ongoing; the next block works, and only the caller's leg costs money."""
    call, session = await ringing(app, phone)
    number = carrier.number(behaviour)
    await app.transfer(session, number, on_failure="continue", tag="first")
    await call.answered()
    told = (await app.told(ivr_block="transfer")).body
    assert (told["transfer_status"], told["transfer_cause"]) == (status, cause)
    assert (told["call_state"], told["tag"], "debit" in told) == ("ongoing", "first", False)
    await app.play(session, "Sorry.")
    assert (await app.told(ivr_block="play")).body["call_state"] == "ongoing"
    await app.hang_up(session)
    await ended(call)
    assert (await app.told(ivr_block="hangup")).body["rate"] == "0.020"
    assert facts.charges_of(session) == {"1": INBOUND}


@pytest.mark.parametrize(("behaviour", "status", "cause"), FATES)
async def test_the_call_ends_otherwise(
    app: Application,
    phone: Phone,
    carrier: Carrier,
    facts: Facts,
    behaviour: Behaviour,
    status: str,
    cause: str,
) -> None:
    """One notification with the end, no block any more, and only the caller's leg costs money."""
    call, session = await ringing(app, phone)
    await app.transfer(session, carrier.number(behaviour))
    await call.answered()
    await ended(call)
    told = (await app.told(ivr_block="transfer")).body
    assert (told["transfer_status"], told["transfer_cause"]) == (status, cause)
    assert (told["call_state"], told["debit"], told["rate"]) == ("ended", "0.020", "0.020")
    assert await app.block("ivr/middle/play", session, msg="x") == "error_session_ended"
    assert facts.charges_of(session) == {"1": INBOUND}
    assert [leg.disposition for leg in facts.legs_of(session)] == [cause]


async def test_a_second_transfer_after_a_failed_one(
    app: Application, phone: Phone, carrier: Carrier, facts: Facts
) -> None:
    """While it rings no block is taken; the second number is a leg, and a charge, of its own."""
    call, session = await ringing(app, phone)
    first, second = carrier.number(RingForever()), carrier.number()
    await app.transfer(session, first, on_failure="continue")
    await call.answered()
    far = await carrier.call_to(first)
    assert await app.block("ivr/middle/play", session, msg="x") == "error_session_not_ready"
    far.refuse(486)
    told = (await app.told(ivr_block="transfer")).body
    assert (told["call_state"], told["transfer_status"]) == ("ongoing", "busy")
    await app.transfer(session, second)
    far = await carrier.call_to(second)
    await far.answered()
    await hear_each_other(call, far)
    call.hang_up()
    await ended(call, far)
    told = (await app.told(ivr_block="transfer")).body
    assert (told["transfer_status"], told["rate"], told["debit"]) == ("answered", "0.060", "0.060")
    assert facts.charges_of(session) == {"1": INBOUND, "3": OUTBOUND}
    assert [leg.disposition for leg in facts.legs_of(session)] == ["busy", "answered"]


async def test_the_first_of_several_numbers_to_answer_wins(
    app: Application, phone: Phone, carrier: Carrier, facts: Facts
) -> None:
    """All ring at once, the winner is connected, the others get CANCEL and cost nothing."""
    numbers = [carrier.number(RingForever()) for _ in range(3)]
    call, session = await ringing(app, phone)
    await app.transfer(session, ",".join(numbers))
    await call.answered()
    calls = [await carrier.call_to(number) for number in numbers]
    calls[1].answer()
    await ended(calls[0], calls[2])
    assert {calls[0].end_cause, calls[2].end_cause} == {"cancelled"}
    await hear_each_other(call, calls[1])
    calls[1].hang_up()
    await ended(call, calls[1])
    told = (await app.told(ivr_block="transfer")).body
    assert (told["transfer_status"], told["rate"], told["debit"]) == ("answered", "0.060", "0.060")
    assert facts.charges_of(session) == {"1": INBOUND, "3": OUTBOUND}
    causes = [leg.disposition for leg in facts.legs_of(session)]
    assert causes == ["cancelled", "answered", "cancelled"]


async def test_of_two_that_answer_at_once_one_is_hung_up(
    app: Application, phone: Phone, carrier: Carrier, facts: Facts
) -> None:
    """Exactly one stays and talks; the other one hears BYE, and is not charged."""
    numbers = [carrier.number(RingForever()) for _ in range(2)]
    call, session = await ringing(app, phone)
    await app.transfer(session, ",".join(numbers))
    await call.answered()
    calls = [await carrier.call_to(number) for number in numbers]
    for one in calls:
        one.answer()
    async with asyncio.timeout(10):
        await asyncio.wait(
            [asyncio.ensure_future(one.ended()) for one in calls],
            return_when=asyncio.FIRST_COMPLETED,
        )
    [winner] = [one for one in calls if one.end_cause is None]
    await hear_each_other(call, winner)
    call.hang_up()
    await ended(call, winner)
    told = (await app.told(ivr_block="transfer")).body
    assert (told["transfer_status"], told["debit"]) == ("answered", "0.060")
    assert len(facts.charges_of(session)) == 2
    assert sum(leg.answered_us is not None for leg in facts.legs_of(session)) == 1


@pytest.mark.parametrize(
    ("behaviours", "status"),
    [
        pytest.param([BUSY, UNAVAILABLE, NOT_FOUND], "unanswered", id="unanswered before busy"),
        pytest.param([NOT_FOUND, DECLINED], "busy", id="busy before failed"),
    ],
)
async def test_of_several_failures_the_most_telling_is_told(
    app: Application, phone: Phone, carrier: Carrier, behaviours: list[Behaviour], status: str
) -> None:
    """Nobody answers: one notification, for all numbers together."""
    call, session = await ringing(app, phone)
    numbers = [carrier.number(behaviour) for behaviour in behaviours]
    await app.transfer(session, ",".join(numbers), on_failure="continue")
    await call.answered()
    told = (await app.told(ivr_block="transfer")).body
    assert (told["call_state"], told["transfer_status"]) == ("ongoing", status)


async def test_the_next_trunk_is_tried_after_a_503(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """The best trunk is overloaded, the other one carries the call; the caller hears of neither."""
    number = carrier.number()
    async with FakeTrunk("127.6.0.1", default=OVERLOADED) as overloaded:
        await app.server.add_trunk(
            f"best{number[1:]}", overloaded.address, prefix=(carrier.prefix + number[-2:],)
        )
        call, session = await ringing(app, phone)
        await app.transfer(session, number)
        await call.answered()
        far = await carrier.call_to(number)
        await far.answered()
        assert [one.request_uri.user for one in overloaded.invites()] == [number]
        await hear_each_other(call, far)
        far.hang_up()
        await ended(call, far)
    assert (await app.told(ivr_block="transfer")).body["transfer_status"] == "answered"


async def test_a_redirection_within_the_trunk_is_followed(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """302 to the same number: it is called there, by a second INVITE."""
    number = carrier.number()
    contact = f"sip:{number}@{carrier.trunk.address}"
    carrier.trunk.route(number, moved_to(contact))
    call, session = await ringing(app, phone)
    await app.transfer(session, number, on_failure="continue")
    await call.answered()
    told = (await app.told(ivr_block="transfer")).body
    # Where it leads to a redirection again, that is an end.
    assert told["transfer_status"] == "failed"
    calls = [one for one in carrier.trunk.invites() if one.request_uri.user == number]
    assert len(calls) == 2
