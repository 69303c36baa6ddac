"""A call is settled with all its legs: what it costs is their sum, taken exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests.unit.database.nouns import CREATED_US, a_leg, a_session, seed
from voiceblocks.database import accounts, charges, further_legs, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import IllegalTransition
from voiceblocks.ids import SessionId
from voiceblocks.money import Thousandths
from voiceblocks.sessions.model import FurtherLeg, Session
from voiceblocks.sessions.state import LIVE_STATES, SessionState
from voiceblocks.workflows.end_session import end_session
from voiceblocks.workflows.notify_application import rate_of

SESSION = SessionId("S-1-a")
MINUTE_US = 60_000_000
UNSETTLED = {"debit": None, "duration_min": None, "disposition": None, "ended_us": None}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Shape:
    """One leg: its price, and how many seconds after the call's begin it was up and gone."""

    rate: int
    answered_s: int | None
    ended_s: int | None
    "`None`: nobody told its end."

    def cost_until(self, end_s: int) -> int:
        """By hand, in seconds."""
        if self.answered_s is None:
            return 0
        talk_s = (end_s if self.ended_s is None else self.ended_s) - self.answered_s
        full, rest = divmod(max(0, talk_s), 60)
        return self.rate * (full + (1 if rest else 0))


def seconds(highest: int = 400) -> st.SearchStrategy[int]:
    """Whole ones, so that minutes begin and end exactly now and then."""
    return st.integers(0, highest)


SHAPES = st.builds(Shape, st.integers(0, 500), st.none() | seconds(), st.none() | seconds())


def store(connection: Connection, own: Shape, legs: list[Shape]) -> None:
    """A live call with these legs."""
    answered_us = None if own.answered_s is None else CREATED_US + own.answered_s * 1_000_000
    fields = {**UNSETTLED, "rate": own.rate, "answered_us": answered_us}
    sessions.insert(connection, a_session(SESSION, **fields))
    for number, shape in enumerate(legs, start=2):
        up, gone = (
            None if at_s is None else CREATED_US + at_s * 1_000_000
            for at_s in (shape.answered_s, shape.ended_s)
        )
        leg = a_leg(
            f"leg_{number}",
            number=number,
            rate=Thousandths(shape.rate),
            debit=None,
            disposition=None if gone is None else "busy",
            answered_us=up,
            ended_us=gone,
        )
        further_legs.insert(connection, leg)


def end(connection: Connection, end_s: int) -> Session:
    """The call is over."""
    session = sessions.find_for_update(connection, SESSION)
    assert session is not None
    ended_us = CREATED_US + end_s * 1_000_000
    return end_session(connection, session, ended_us=ended_us, disposition="answered")


def credit(connection: Connection) -> int:
    """Of the account that pays."""
    account = accounts.find_account(connection, "acc_1")
    assert account is not None
    return account.credit


class _Undo(Exception):
    """Leaves the database as it was for the next example."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=SHAPES, legs=st.lists(SHAPES, max_size=5), end_s=seconds(500))
def test_debit_is_the_sum_of_the_legs(
    database: Database, own: Shape, legs: list[Shape], end_s: int
) -> None:
    """Whatever legs there were: each is paid by its own minutes, with one charge, once."""
    own = Shape(own.rate, own.answered_s, None)
    by_hand = [shape.cost_until(end_s) for shape in (own, *legs)]

    def happen(connection: Connection) -> None:
        seed(connection)
        store(connection, own, legs)
        ended = end(connection, end_s)
        assert ended.debit == sum(by_hand)
        assert sessions.find(connection, SESSION) == ended
        paid = {charge.id: charge.amount for charge in charges.list_of_session(connection, SESSION)}
        assert paid == {f"chg_{SESSION}_{n}": cost for n, cost in enumerate(by_hand, 1) if cost}
        assert credit(connection) == 100_000 - sum(by_hand)
        stored = further_legs.list_of_session(connection, SESSION)
        assert [leg.debit for leg in stored] == by_hand[1:]
        assert all(leg.ended_us is not None and leg.disposition is not None for leg in stored)
        up = [shape.rate for shape in legs if shape.answered_s is not None]
        assert rate_of(ended, stored) == own.rate + sum(up)
        # Whoever comes second finds it ended, and nothing changes.
        with pytest.raises(IllegalTransition):
            end(connection, end_s + 100)
        assert credit(connection) == 100_000 - sum(by_hand)
        raise _Undo

    with pytest.raises(_Undo):
        database.run_sync(happen)


def test_what_was_charged_before_is_not_charged_again(database: Database) -> None:
    """A session that is settled a second time, as if the first had been lost, costs nothing."""

    def happen(connection: Connection) -> tuple[int, int, Session]:
        seed(connection)
        store(connection, Shape(20, 0, None), [Shape(40, 10, None), Shape(40, 5, 9)])
        end(connection, 61)
        once = credit(connection)
        sessions.update(connection, SESSION, state=SessionState.ENDING, debit=None)
        return once, credit(connection), end(connection, 61)

    once, before, again = database.run_sync(happen)
    assert once == before == database.run_sync(credit) == 100_000 - 40 - 40 - 40
    assert again.debit == 120
    assert len(database.run_sync(lambda c: charges.list_of_session(c, SESSION))) == 3


@pytest.mark.parametrize("state", LIVE_STATES)
def test_every_live_state_can_be_settled(database: Database, state: SessionState) -> None:
    """Also a call on hold, and one that takes no blocks."""

    def happen(connection: Connection) -> Session:
        seed(connection)
        store(connection, Shape(20, None, None), [])
        sessions.update(connection, SESSION, state=state)
        return end(connection, 30)

    ended = database.run_sync(happen)
    assert (ended.state, ended.debit, ended.duration_min) == (SessionState.ENDED, 0, 0)
    assert database.run_sync(lambda c: charges.list_of_session(c, SESSION)) == []


def test_open_legs_end_with_their_call(database: Database) -> None:
    """After a crash nobody tells their ends: who was answered was, who rang was not reached."""

    def happen(connection: Connection) -> list[FurtherLeg]:
        seed(connection)
        store(connection, Shape(20, 0, None), [Shape(40, 1, None), Shape(40, None, None)])
        end(connection, 70)
        return further_legs.list_of_session(connection, SESSION)

    legs = database.run_sync(happen)
    ended_us = CREATED_US + 70_000_000
    assert [(leg.ended_us, leg.disposition, leg.debit) for leg in legs] == [
        (ended_us, "answered", 80),
        (ended_us, "cancelled", 0),
    ]
