"""Further legs in SQL, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from tests.unit.database.nouns import CREATED_US, a_leg, an_account, seed
from voiceblocks.database import accounts, further_legs
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import ContractViolation
from voiceblocks.sessions.model import FurtherLeg

NEW = a_leg(
    "leg_3",
    number=3,
    trunk_id=None,
    debit=None,
    disposition=None,
    dialog=None,
    answered_us=None,
    ended_us=None,
)


def insert(database: Database, *legs: FurtherLeg) -> None:
    """Insert legs of the sessions S-1-a and S-1-b, and these."""
    database.run_sync(lambda c: seed(c, "S-1-a", "S-1-b"))
    for leg in legs:
        database.run_sync(lambda c, leg=leg: further_legs.insert(c, leg))


def test_leg_reads_back(database: Database) -> None:
    """A leg comes back as it was inserted, full or new; an unknown one is None."""
    insert(database, a_leg(), NEW)
    assert database.run_sync(lambda c: further_legs.find(c, "leg_2")) == a_leg()
    assert database.run_sync(lambda c: further_legs.find(c, "leg_3")) == NEW
    assert database.run_sync(lambda c: further_legs.find(c, "leg_4")) is None


def test_update_changes_what_is_named(database: Database) -> None:
    """Named columns of one leg change; an unknown leg is our mistake."""
    insert(database, a_leg(), NEW)
    database.run_sync(lambda c: further_legs.update(c, "leg_3", answered_us=5, dialog="{}"))
    assert database.run_sync(lambda c: further_legs.list_of_session(c, "S-1-a")) == [
        a_leg(),
        replace(NEW, answered_us=5, dialog="{}"),
    ]
    with pytest.raises(ContractViolation, match="legs has no row leg_9"):
        database.run_sync(lambda c: further_legs.update(c, "leg_9", ended_us=1))


def test_number_is_unique_in_its_session(database: Database) -> None:
    """Two legs of a session cannot share a number, so neither can their charges."""
    insert(database, a_leg(), a_leg("leg_b", "S-1-b"))
    with pytest.raises(IntegrityError):
        database.run_sync(lambda c: further_legs.insert(c, a_leg("leg_x")))


def test_lists_and_counts(database: Database) -> None:
    """By session in order of numbers, of several sessions at once; counted by account and time."""
    other = a_leg("leg_b", "S-1-b", created_us=CREATED_US + 10)
    insert(database, NEW, a_leg(), other)
    assert database.run_sync(lambda c: further_legs.list_of_session(c, "S-1-a")) == [a_leg(), NEW]
    assert database.run_sync(
        lambda c: further_legs.list_of_sessions(c, ["S-1-b", "S-1-a", "S-1-c"])
    ) == {"S-1-a": [a_leg(), NEW], "S-1-b": [other], "S-1-c": []}
    database.run_sync(lambda c: accounts.insert_account(c, an_account("acc_2")))
    for account, since_us, count in (
        ("acc_1", CREATED_US, 3),
        ("acc_1", CREATED_US + 1, 1),
        ("acc_1", CREATED_US + 11, 0),
        ("acc_2", 0, 0),
    ):
        found = database.run_sync(
            lambda c, a=account, s=since_us: further_legs.count_since(c, a, s)
        )
        assert found == count
