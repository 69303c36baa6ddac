"""Who may ring: one transaction says it, also when many come at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import CREATED_US, a_number, an_account, an_application
from voiceblocks.billing.model import Tariff
from voiceblocks.calls.events import AcceptedCall, CallEnded, Disposition, IncomingCall, Refusal
from voiceblocks.database import accounts, notifications, sessions, tariffs
from voiceblocks.database.unit_of_work import Database
from voiceblocks.money import Thousandths
from voiceblocks.workflows.accept_incoming_call import AdmissionRules, accept_incoming_call
from voiceblocks.workflows.note_call_events import note_call_ended

CALL = IncomingCall("+6591234567", "+6531580000", CREATED_US)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


def prepare(
    connection: Connection,
    account: dict[str, Any] | None = None,
    application: dict[str, Any] | None = None,
    number: dict[str, Any] | None = None,
) -> None:
    """An account with an application and a number; arguments are their unusual fields."""
    accounts.insert_account(connection, an_account(**(account or {})))
    accounts.insert_application(connection, an_application(**(application or {})))
    accounts.insert_number(connection, a_number(**(number or {})))


def accept(connection: Connection, call: IncomingCall = CALL) -> AcceptedCall | Refusal:
    """With three calls an account."""
    return accept_incoming_call(connection, call, AdmissionRules("1", 3))


async def test_an_account_has_exactly_its_calls(database: Database) -> None:
    """Twenty at once: three ring. When one ends there is room for one, not for two."""
    await database.run(prepare)
    decisions = await asyncio.gather(*(database.run(accept) for _ in range(20)))
    ringing = [decision for decision in decisions if isinstance(decision, AcceptedCall)]
    assert len(ringing) == 3
    assert Counter(decisions)[Refusal.ACCOUNT_BUSY] == 17
    ended = CallEnded(ringing[0].session_id, CREATED_US + 1, Disposition.CANCELLED)
    await database.run(lambda connection: note_call_ended(connection, ended))
    again = await asyncio.gather(*(database.run(accept) for _ in range(5)))
    assert sum(isinstance(decision, AcceptedCall) for decision in again) == 1


async def test_calls_that_begin_and_end_at_once_charge_each_once(database: Database) -> None:
    """Locks of accounts and sessions are taken in an order that ends; the credit adds up."""
    await database.run(lambda connection: prepare(connection, account={"max_calls": 1000}))

    async def one() -> None:
        decision = await database.run(accept)
        assert isinstance(decision, AcceptedCall)
        session = decision.session_id
        await database.run(
            lambda connection: sessions.update(connection, session, answered_us=CREATED_US)
        )
        ended = CallEnded(session, CREATED_US + 1, Disposition.ANSWERED)
        await asyncio.gather(
            *(database.run(lambda connection: note_call_ended(connection, ended)) for _ in "ab")
        )

    await asyncio.gather(*(one() for _ in range(25)))
    account = await database.run(lambda connection: accounts.find_account(connection, "acc_1"))
    assert account is not None
    assert account.credit == 100_000 - 25 * 20


async def test_what_is_free_needs_no_credit(database: Database) -> None:
    """A free number rings, whatever its account owes and has spent in the day."""

    def happen(connection: Connection) -> AcceptedCall | Refusal:
        prepare(connection, account={"credit": Thousandths(-5), "spend_per_day": Thousandths(0)})
        tariffs.replace(connection, Tariff("inbound", CALL.to_number, "SGD", Thousandths(0)))
        return accept(connection)

    assert isinstance(await database.run(happen), AcceptedCall)


@pytest.mark.parametrize(
    ("unusual", "call", "refusal"),
    [
        ({}, IncomingCall("x", "+6500000000", CREATED_US), Refusal.UNKNOWN_NUMBER),
        ({"number": {"notify_url": None}}, CALL, Refusal.NO_APPLICATION),
        ({"application": {"revoked_us": 1}}, CALL, Refusal.NO_APPLICATION),
        ({"account": {"credit": Thousandths(0)}}, CALL, Refusal.NO_CREDIT),
        ({"account": {"credit": Thousandths(-1)}}, CALL, Refusal.NO_CREDIT),
        ({"account": {"credit": Thousandths(19)}}, CALL, Refusal.NO_CREDIT),
        ({"account": {"is_trial": True}}, CALL, Refusal.NOT_FOR_TRIAL),
        ({"number": {"expires_us": CREATED_US}}, CALL, Refusal.UNKNOWN_NUMBER),
    ],
)
async def test_refusals_store_nothing(
    database: Database, unusual: dict[str, Any], call: IncomingCall, refusal: Refusal
) -> None:
    """Decision 10; neither a session nor a notification is left."""
    await database.run(lambda connection: prepare(connection, **unusual))
    assert await database.run(lambda connection: accept(connection, call)) is refusal
    assert await database.run(lambda connection: sessions.recent(connection, 10)) == []


@pytest.mark.parametrize("caller", ["\ufffd\ufffd", "李" * 64, "x" * 64, "private", "mei@home;=&"])
async def test_any_caller_can_be_stored_and_told(database: Database, caller: str) -> None:
    """What is no number reaches the application as it is stored."""
    await database.run(prepare)
    call = IncomingCall(caller, "+6531580000", CREATED_US)
    decision = await database.run(lambda connection: accept(connection, call))
    assert isinstance(decision, AcceptedCall)
    (told,) = await database.run(
        lambda connection: notifications.list_of_session(connection, decision.session_id)
    )
    assert parse_qs(told.parameters)["from"] == [caller]
