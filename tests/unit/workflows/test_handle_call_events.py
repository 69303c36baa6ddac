"""A fact of a live call is written down, even if the database is away for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tests.metering import a_meter
from voiceblocks.calls.events import CallEnded, Disposition, IncomingCall
from voiceblocks.database.unit_of_work import TransactionFailed
from voiceblocks.errors import ContractViolation
from voiceblocks.workflows.accept_incoming_call import AdmissionRules
from voiceblocks.workflows.handle_call_events import HandleCallEvents

ENDED = CallEnded("S-1-a", 5, Disposition.ANSWERED)


class FailingDatabase:
    """Raises what it was given, one after another; then takes every transaction."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.taken = 0

    async def run(self, fn: Callable[[Any], Any]) -> Any:
        """See `Database.run`."""
        if self.errors:
            raise self.errors.pop(0)
        self.taken += 1


class CountingOutbox:
    """How often it was woken."""

    def __init__(self) -> None:
        self.wakes = 0

    def wake(self) -> None:
        """See `Outbox`."""
        self.wakes += 1


def a_handler(database: FailingDatabase, outbox: CountingOutbox) -> HandleCallEvents:
    """With nothing behind it but the database."""
    missing: Any = None
    handler_database: Any = database
    return HandleCallEvents(
        database=handler_database,
        rules=AdmissionRules("1", 8),
        encoder=missing,
        finish_recording=missing,
        finish_monitor=missing,
        meter=a_meter(handler_database),
        outbox=outbox,
    )


async def test_the_end_of_a_call_waits_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locked, full, away: tried again until it is taken; the outbox is woken once, after it."""
    monkeypatch.setattr("voiceblocks.workflows.write_down.FIRST_PAUSE_S", 0.001)
    database = FailingDatabase(
        TransactionFailed("disk full"),
        OperationalError("UPDATE", {}, Exception("database is locked")),
        TransactionFailed("away"),
    )
    outbox = CountingOutbox()
    await a_handler(database, outbox).on_call_ended(ENDED)
    assert (database.taken, outbox.wakes) == (1, 1)


async def test_a_mistake_of_ours_is_not_repeated() -> None:
    """Also not to a database that was closed: the next start finds what is left."""
    database = FailingDatabase(ContractViolation("the database is closed"))
    with pytest.raises(ContractViolation):
        await a_handler(database, CountingOutbox()).on_call_ended(ENDED)
    assert database.taken == 0


async def test_a_new_call_is_refused_at_once() -> None:
    """The caller hears 500 instead of nothing."""
    database = FailingDatabase(TransactionFailed("disk full"))
    with pytest.raises(TransactionFailed):
        await a_handler(database, CountingOutbox()).on_incoming_call(
            IncomingCall("+6591234567", "+6531580000", 1)
        )
