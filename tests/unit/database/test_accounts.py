"""Accounts, applications, tokens and numbers in SQL, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.unit.database.nouns import CREATED_US, a_number, an_account, an_application, seed
from voiceblocks.accounts.model import NumberRoute
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.database import accounts
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import ContractViolation
from voiceblocks.money import Thousandths

KEY = SecretKey(bytes(32))


def insert_token(
    connection: Connection, token: str, created_us: int, expires_us: int | None = None
) -> bytes:
    """Insert a token as `app create` does and return its look-up value."""
    lookup = KEY.lookup(token)
    accounts.insert_token(
        connection, lookup, "app1", KEY.seal(token, "app1"), KEY.key_id, created_us, expires_us
    )
    return lookup


def test_account_reads_back(database: Database) -> None:
    """An account comes back as it was inserted, by id, locked, and in the list."""
    small = an_account("acc_1", credit=Thousandths(-5), max_calls=3)
    large = an_account("acc_2", credit=Thousandths(2**62), created_us=CREATED_US + 1)
    database.run_sync(lambda c: accounts.insert_account(c, large))
    database.run_sync(lambda c: accounts.insert_account(c, small))
    assert database.run_sync(lambda c: accounts.find_account(c, "acc_1")) == small
    assert database.run_sync(lambda c: accounts.find_account_for_update(c, "acc_2")) == large
    assert database.run_sync(lambda c: accounts.find_account(c, "acc_3")) is None
    assert database.run_sync(lambda c: accounts.find_account_for_update(c, "acc_3")) is None
    assert database.run_sync(accounts.list_accounts) == [small, large]


def test_account_ids_are_unique(database: Database) -> None:
    """A second account of the same id is refused."""
    database.run_sync(lambda c: accounts.insert_account(c, an_account()))
    with pytest.raises(IntegrityError):
        database.run_sync(lambda c: accounts.insert_account(c, an_account()))


def test_credit_changes_by_what_is_given(database: Database) -> None:
    """Charges and top-ups add up, below zero too, and the new credit is returned."""
    database.run_sync(seed)
    for delta, credit in ((-140, 99_860), (-100_000, -140), (2**50, 2**50 - 140)):
        new = database.run_sync(
            lambda c, delta=delta: accounts.change_credit(c, "acc_1", Thousandths(delta))
        )
        assert new == credit
    with pytest.raises(ContractViolation, match="acc_2"):
        database.run_sync(lambda c: accounts.change_credit(c, "acc_2", Thousandths(1)))


def test_application_reads_back(database: Database) -> None:
    """An application comes back as it was inserted, and lists can be of one account."""
    first = an_application("app1", "acc_1", revoked_us=CREATED_US + 5)
    second = an_application("app2", "acc_2")

    def insert(connection: Connection) -> None:
        for name in ("acc_1", "acc_2"):
            accounts.insert_account(connection, an_account(name))
        accounts.insert_application(connection, second)
        accounts.insert_application(connection, first)

    database.run_sync(insert)
    assert database.run_sync(lambda c: accounts.find_application(c, "app1")) == first
    assert database.run_sync(lambda c: accounts.find_application(c, "app3")) is None
    assert database.run_sync(accounts.list_applications) == [first, second]
    assert database.run_sync(lambda c: accounts.list_applications(c, "acc_2")) == [second]


def test_application_needs_its_account(database: Database) -> None:
    """Foreign keys are enforced, on SQLite too."""
    with pytest.raises(IntegrityError):
        database.run_sync(lambda c: accounts.insert_application(c, an_application()))


def test_token_is_found_by_its_lookup(database: Database) -> None:
    """The token's row comes with its application, and its secret can be read again."""
    database.run_sync(seed)
    lookup = database.run_sync(lambda c: insert_token(c, "token", 5, 100))
    found = database.run_sync(lambda c: accounts.find_token(c, lookup))
    assert found is not None
    assert found.application == an_application()
    assert (found.token.lookup, found.token.app_id, found.token.key_id) == (
        lookup,
        "app1",
        KEY.key_id,
    )
    assert (found.token.created_us, found.token.expires_us, found.token.revoked_us) == (
        5,
        100,
        None,
    )
    assert KEY.unseal(found.token.sealed, "app1") == "token"
    assert database.run_sync(lambda c: accounts.find_token(c, KEY.lookup("Token"))) is None


def test_newest_valid_token_signs(database: Database) -> None:
    """Expired and revoked tokens are passed over; without a valid one there is none."""
    database.run_sync(seed)
    database.run_sync(lambda c: insert_token(c, "old", 10))
    newer = database.run_sync(lambda c: insert_token(c, "newer", 20))
    database.run_sync(lambda c: insert_token(c, "newest, but short", 30, 100))

    def newest(now_us: int) -> str | None:
        token = database.run_sync(lambda c: accounts.newest_token(c, "app1", now_us))
        return None if token is None else KEY.unseal(token.sealed, "app1")

    assert newest(99) == "newest, but short"
    assert newest(100) == "newer"
    assert database.run_sync(lambda c: accounts.revoke_token(c, newer, 101))
    assert not database.run_sync(lambda c: accounts.revoke_token(c, newer, 102))
    assert not database.run_sync(lambda c: accounts.revoke_token(c, b"none", 102))
    assert newest(100) == "old"
    found = database.run_sync(lambda c: accounts.find_token(c, newer))
    assert found is not None
    assert found.token.revoked_us == 101
    assert database.run_sync(lambda c: accounts.newest_token(c, "app2", 0)) is None


def test_number_comes_with_all_that_decides_about_a_call(database: Database) -> None:
    """One look-up gives number, application and account."""
    with_url, without = a_number(), a_number("+6531580001", notify_url=None)
    database.run_sync(seed)
    database.run_sync(lambda c: accounts.insert_number(c, without))
    database.run_sync(lambda c: accounts.insert_number(c, with_url))
    assert database.run_sync(lambda c: accounts.find_number(c, "+6531580000")) == NumberRoute(
        with_url, an_application(), an_account()
    )
    assert database.run_sync(lambda c: accounts.find_number(c, "6531580000")) is None
    assert database.run_sync(accounts.list_numbers) == [with_url, without]
    assert database.run_sync(lambda c: accounts.list_numbers(c, "app1")) == [with_url, without]
    assert database.run_sync(lambda c: accounts.list_numbers(c, "app2")) == []
    with pytest.raises(IntegrityError):
        database.run_sync(lambda c: accounts.insert_number(c, with_url))


def test_account_limits_change(database: Database) -> None:
    """Named columns of one account change; an unknown account is our mistake."""
    database.run_sync(seed)
    database.run_sync(lambda c: accounts.insert_account(c, an_account("acc_2")))
    limits = {"registered_number": None, "dials_per_minute": 5, "spend_per_day": Thousandths(2**40)}
    database.run_sync(lambda c: accounts.update_account(c, "acc_1", **limits))
    assert database.run_sync(lambda c: accounts.find_account(c, "acc_1")) == an_account(**limits)
    assert database.run_sync(lambda c: accounts.find_account(c, "acc_2")) == an_account("acc_2")
    with pytest.raises(ContractViolation, match="accounts has no row acc_3"):
        database.run_sync(lambda c: accounts.update_account(c, "acc_3", max_calls=1))


def test_numbers_of_an_account(database: Database) -> None:
    """Those of all its applications, oldest first, and nobody else's."""

    def happen(connection: Connection) -> None:
        seed(connection)
        accounts.insert_account(connection, an_account("acc_2"))
        for app_id, account_id in (("app2", "acc_1"), ("app3", "acc_2")):
            accounts.insert_application(connection, an_application(app_id, account_id))
        for number, app_id, created_us in (
            ("+653", "app1", 3),
            ("+651", "app2", 3),
            ("+652", "app2", 2),
            ("+654", "app3", 1),
        ):
            accounts.insert_number(connection, a_number(number, app_id, created_us=created_us))

    database.run_sync(happen)
    found = database.run_sync(lambda c: accounts.list_numbers_of_account(c, "acc_1"))
    assert [number.number for number in found] == ["+652", "+651", "+653"]
    assert database.run_sync(lambda c: accounts.list_numbers_of_account(c, "acc_3")) == []
