"""What rings is in the database a moment later, and no longer than it rings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from tests.unit.workflows.billed_calls import BilledCalls
from voiceblocks.calls.events import CallAnswered, FurtherLegAnswered, LegRings, Refusal
from voiceblocks.database import further_legs, sessions
from voiceblocks.database.unit_of_work import Database, TransactionFailed
from voiceblocks.ids import SessionId
from voiceblocks.workflows import keep_ringing
from voiceblocks.workflows.keep_ringing import KeepRinging
from voiceblocks.workflows.note_call_events import note_call_answered, note_further_leg_answered

T = TypeVar("T")

DESTS = ("+6591110001", "+6591110002")
WRITTEN_LIMIT_S = 10.0


class CountedDatabase:
    """Counts transactions, and says when one is through; refuses the first `failures`."""

    def __init__(self, inner: Database, failures: int = 0) -> None:
        self.inner = inner
        self.failures = failures
        self.taken = 0
        self.came = asyncio.Event()
        self.refused = asyncio.Event()

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """See `Database.run`."""
        if self.failures:
            self.failures -= 1
            self.refused.set()
            raise TransactionFailed("away")
        result = await self.inner.run(fn)
        self.taken += 1
        self.came.set()
        return result

    async def written(self) -> None:
        """Wait for the next transaction."""
        async with asyncio.timeout(WRITTEN_LIMIT_S):
            await self.came.wait()
        self.came.clear()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


def dialled(connection: Connection) -> tuple[BilledCalls, SessionId, str]:
    """A `voice/call`: its session, and its second leg."""
    calls = BilledCalls()
    calls.prepare(connection, 1000)
    session_id = calls.call(connection, *DESTS)
    return calls, session_id, calls.legs(connection, session_id)[0].id


def remembered(connection: Connection, session_id: str) -> list[str | None]:
    """Of the session's own leg, and of the further ones."""
    session = sessions.find(connection, session_id)
    assert session is not None
    legs = further_legs.list_of_session(connection, session_id)
    return [session.dialog, *(leg.dialog for leg in legs)]


async def test_all_that_rings_is_written_by_one_transaction(database: Database) -> None:
    """The newest of each leg, so a second INVITE with a password costs no second one."""
    _, session_id, leg_id = await database.run(dialled)
    counted = CountedDatabase(database)
    keeper = KeepRinging(counted)  # type: ignore[arg-type]
    keeper.note(LegRings(session_id, "", "first"))
    keeper.note(LegRings(session_id, "", "with password"))
    keeper.note(LegRings(session_id, leg_id, "second leg"))
    await counted.written()
    found = await database.run(lambda c: remembered(c, session_id))
    assert (found, counted.taken) == (["with password", "second leg"], 1)
    keeper.note(LegRings(session_id, "", "a fork"))
    await counted.written()
    assert (await database.run(lambda c: remembered(c, session_id)))[0] == "a fork"


async def test_what_was_answered_meanwhile_is_not_written(database: Database) -> None:
    """It needs none any more; another call that still rings is."""
    calls, session_id, leg_id = await database.run(dialled)
    other_id = await database.run(lambda c: calls.dial(c, DESTS[0]))
    counted = CountedDatabase(database)
    keeper = KeepRinging(counted)  # type: ignore[arg-type]
    keeper.note(LegRings(session_id, "", "ringing"))
    keeper.note(LegRings(session_id, leg_id, "ringing"))
    keeper.note(LegRings(other_id, "", "ringing"))
    keeper.forget(session_id)
    await counted.written()
    assert await database.run(lambda c: remembered(c, session_id)) == [None, None]
    assert await database.run(lambda c: remembered(c, other_id)) == ["ringing"]


async def test_who_answers_first_ends_the_ringing_of_the_others(database: Database) -> None:
    """They were hung up in that moment, and a crash in the conversation cancels nobody."""

    def happen(connection: Connection) -> None:
        calls = BilledCalls()
        calls.prepare(connection, 1000)
        session_id = calls.comes_in(connection)
        assert not isinstance(session_id, Refusal)
        calls.answered(connection, session_id)
        calls.transfer(connection, session_id, *DESTS)
        winner, loser = calls.legs(connection, session_id)
        for leg in (winner, loser):
            further_legs.note_ringing(connection, leg.id, "ringing")
        event = FurtherLegAnswered(session_id, winner.id, 5, "BYE")
        note_further_leg_answered(connection, event)
        assert remembered(connection, session_id)[1:] == ["BYE", None]

    await database.run(happen)


async def test_late_writes_change_nothing(database: Database) -> None:
    """PostgreSQL may take them in another order: an answer or an end is never overwritten."""
    calls, session_id, leg_id = await database.run(dialled)

    def answer(connection: Connection) -> None:
        note_call_answered(connection, CallAnswered(session_id, 5, "BYE"))
        note_further_leg_answered(connection, FurtherLegAnswered(session_id, leg_id, 5, "BYE"))

    def ring(connection: Connection) -> None:
        sessions.note_ringing(connection, session_id, "ringing")
        further_legs.note_ringing(connection, leg_id, "ringing")

    await database.run(ring)
    await database.run(answer)
    await database.run(ring)
    assert await database.run(lambda c: remembered(c, session_id)) == ["BYE", "BYE"]
    await database.run(lambda c: calls.ended(c, session_id))
    assert await database.run(lambda c: remembered(c, session_id)) == [None, None]
    await database.run(ring)
    assert await database.run(lambda c: remembered(c, session_id)) == [None, None]


async def test_a_call_that_comes_in_is_remembered_with_its_session(database: Database) -> None:
    """In the transaction that lets it ring; its end forgets it."""

    def happen(connection: Connection) -> None:
        calls = BilledCalls()
        calls.prepare(connection, 1000)
        session_id = calls.comes_in(connection, dialog="503")
        assert not isinstance(session_id, Refusal)
        assert remembered(connection, session_id) == ["503"]
        calls.crash(connection)
        assert remembered(connection, session_id) == [None]
        told = calls.told(connection, session_id)[-1]
        assert (told["call_state"], told["call_end"]) == ("ended", "server_restart")
        assert told["debit"] == "0.000"

    await database.run(happen)


async def test_a_database_that_is_away_is_asked_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost but the moment; what is newer by then counts."""
    monkeypatch.setattr(keep_ringing, "RETRY_S", 0.01)
    _, session_id, leg_id = await database.run(dialled)
    counted = CountedDatabase(database, failures=2)
    keeper = KeepRinging(counted)  # type: ignore[arg-type]
    keeper.note(LegRings(session_id, "", "ringing"))
    async with asyncio.timeout(WRITTEN_LIMIT_S):
        await counted.refused.wait()
    keeper.note(LegRings(session_id, "", "newer"))
    keeper.note(LegRings(session_id, leg_id, "ringing"))
    await counted.written()
    assert await database.run(lambda c: remembered(c, session_id)) == ["newer", "ringing"]
