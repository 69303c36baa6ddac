"""The ledger only grows, enters each transaction once, and adds up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tests.unit.database.nouns import CREATED_US, a_session, seed
from voiceblocks.billing.ledger import Balances, Purse, balances_after, income, payment
from voiceblocks.billing.model import Charge, EntryKind, LedgerEntry
from voiceblocks.database import charges, ledger, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import AccountId, SessionId
from voiceblocks.money import Thousandths


def purse(bonus: int = 0) -> Purse:
    """Of the account that tests have."""
    return Purse(account_id=AccountId("acc_1"), currency="SGD", bonus=Thousandths(bonus))


def paid(amount: int, bonus: int = 0, name: str = "chg_1") -> list[LedgerEntry]:
    """A call is paid."""
    return payment(
        purse(bonus),
        Thousandths(amount),
        transaction_id=name,
        kind=EntryKind.CALL,
        note="AA-S-1-a",
        at_us=CREATED_US,
    )


def got(amount: int, kind: EntryKind) -> list[LedgerEntry]:
    """The operator gives."""
    return income(
        purse(),
        Thousandths(amount),
        transaction_id=f"pay_{kind}",
        kind=kind,
        note="",
        at_us=CREATED_US,
    )


@given(st.integers(0, 10**9), st.integers(-5, 10**9))
def test_bonus_is_used_up_first(amount: int, bonus: int) -> None:
    """Points pay only what the bonus does not, and no entry moves nothing."""
    entries = paid(amount, bonus)
    after = balances_after("acc_1", entries)
    assert after.points + after.bonus == -amount
    assert -after.bonus == min(amount, max(0, bonus))
    assert all(entry.amount > 0 for entry in entries)


def test_books_add_up(database: Database) -> None:
    """What the database sums is what the entries say, and entering again changes nothing."""
    entries = [
        got(1000, EntryKind.TOP_UP),
        got(30, EntryKind.BONUS),
        paid(100, 30),
        paid(7, 0, "chg_2"),
    ]
    database.run_sync(seed)
    for entered in (True, False):
        for transaction in entries:
            assert database.run_sync(lambda c, t=transaction: ledger.enter_once(c, t)) is entered
    found = database.run_sync(lambda c: ledger.balances(c, "acc_1"))
    assert found == Balances(Thousandths(1000 - 70 - 7), Thousandths(0))
    listed = database.run_sync(lambda c: ledger.list_of_account(c, "acc_1", 99))
    assert sorted(listed, key=lambda e: e.id) == sorted(
        (entry for transaction in entries for entry in transaction), key=lambda e: e.id
    )
    assert found == balances_after("acc_1", listed)
    assert len(database.run_sync(lambda c: ledger.list_of_account(c, "acc_1", 2))) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET amount = 1",
        "DELETE FROM ledger_entries",
        "UPDATE charges SET amount = 1",
        "DELETE FROM charges",
    ],
)
def test_nothing_is_changed_or_deleted(database: Database, statement: str) -> None:
    """The database itself refuses, and says what to do instead."""

    def prepare(connection: Connection) -> None:
        seed(connection)
        sessions.insert(connection, a_session())
        ledger.enter_once(connection, got(5, EntryKind.TOP_UP))
        charge = Charge(
            "chg_1", SessionId("S-1-a"), AccountId("acc_1"), Thousandths(9), "SGD", CREATED_US
        )
        charges.insert_once(connection, charge)

    database.run_sync(prepare)
    with pytest.raises(DBAPIError, match="only grows: enter a correction instead"):
        database.run_sync(lambda c: c.execute(text(statement)))
    assert database.run_sync(lambda c: ledger.balances(c, "acc_1")).points == 5


def test_an_entry_moves_something(database: Database) -> None:
    """Nothing, or less than nothing, is no entry: the direction says which way money moves."""
    database.run_sync(seed)
    values = "('x/1', 'x', 'call', 'acc_1', 'a', 'b', 0, 'SGD', '', 1)"
    with pytest.raises(DBAPIError):
        database.run_sync(lambda c: c.execute(text(f"INSERT INTO ledger_entries VALUES {values}")))
