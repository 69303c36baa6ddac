"""`spend_per_day`: what all calls of a day may cost is what they cost at most."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.unit.workflows.billed_calls import SECOND_US, BilledCalls
from voiceblocks.calls.events import Refusal
from voiceblocks.database import charges
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import SessionId
from voiceblocks.money import Thousandths
from voiceblocks.workflows.hold_credit import DAY_US

CAP = 200
CREDIT = 100_000
DEST = "+6591234567"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty one."""
    opened = Database(database_url)
    yield opened
    opened.close()


def test_a_call_ends_where_the_cap_is_reached(database: Database) -> None:
    """At the end of the last minute that it pays for, with credit left; a day later again."""
    calls = BilledCalls()
    run = database.run_sync
    run(lambda c: calls.prepare(c, CREDIT, spend_per_day=Thousandths(50)))
    session_id = run(calls.comes_in)
    assert isinstance(session_id, str)
    hold = run(lambda c: calls.answered(c, SessionId(session_id)))
    while hold is not None and not hold.is_used_up:
        assert hold.paid_until_us is not None
        calls.clock.now_us = max(hold.paid_until_us, calls.clock.now_us + 1)
        hold = run(lambda c: calls.meter(c, SessionId(session_id)))
    # Two minutes for 0.020 each; the third would be 0.060.
    run(lambda c: calls.ended(c, SessionId(session_id)))
    session = run(lambda c: calls.session(c, session_id))
    assert session.debit == 40
    assert run(lambda c: calls.told(c, session_id))[-1]["call_end"] == "credit_used_up"
    assert run(calls.account).credit == CREDIT - 40
    assert run(calls.comes_in) is Refusal.NO_CREDIT
    calls.clock.now_us += DAY_US
    assert isinstance(run(calls.comes_in), str)


@pytest.mark.parametrize("seed", range(5))
def test_a_day_never_costs_more_than_its_cap(database: Database, seed: int) -> None:
    """Calls of both ways that begin, go on and end in any order, some of them at once."""
    chance = random.Random(seed)
    calls = BilledCalls()
    run = database.run_sync
    run(lambda c: calls.prepare(c, CREDIT, spend_per_day=Thousandths(CAP)))
    began_us = calls.clock.now_us
    live: list[str] = []
    refusals: set[str] = set()
    for _step in range(60):
        calls.clock.now_us += chance.randrange(40 * SECOND_US)
        what = chance.random()
        if what < 0.4:
            try:
                found = run((lambda c: calls.dial(c, DEST)) if what < 0.2 else calls.comes_in)
            except InvalidRequest as error:
                refusals.add(error.status)
                continue
            if not isinstance(found, Refusal):
                live.append(found)
                run(lambda c, one=found: calls.answered(c, SessionId(one)))
        for one in list(live):
            hold = run(lambda c, one=one: calls.meter(c, SessionId(one)))
            is_over = hold is None or hold.is_used_up or chance.random() < 0.05
            if is_over:
                live.remove(one)
                run(lambda c, one=one: calls.ended(c, SessionId(one)))
    for one in live:
        run(lambda c, one=one: calls.ended(c, SessionId(one)))
    spent = run(lambda c: charges.sum_since(c, "acc_1", began_us))
    # Steps of up to 40 s between two looks of the meter: what was held is what is charged.
    assert 0 < spent <= CAP
    assert refusals <= {"error_insufficient_credit"}
