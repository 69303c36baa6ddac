"""Whom accounts may call in SQL, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from tests.unit.database.nouns import an_account, seed
from voiceblocks.database import accounts, allowed_prefixes
from voiceblocks.database.unit_of_work import Database


def test_prefixes_come_and_go(database: Database) -> None:
    """Each once an account, in order; those of other accounts stay."""
    database.run_sync(seed)
    database.run_sync(lambda c: accounts.insert_account(c, an_account("acc_2")))
    for account, prefix, is_new in (
        ("acc_1", "+65", True),
        ("acc_1", "+1900", True),
        ("acc_1", "+65", False),
        ("acc_2", "+65", True),
    ):
        assert (
            database.run_sync(
                lambda c, a=account, p=prefix: allowed_prefixes.insert(c, a, p),
            )
            is is_new
        )
    both = {"acc_1": ("+1900", "+65"), "acc_2": ("+65",)}
    assert database.run_sync(allowed_prefixes.by_account) == both
    assert database.run_sync(lambda c: allowed_prefixes.delete(c, "acc_1", "+65"))
    assert not database.run_sync(lambda c: allowed_prefixes.delete(c, "acc_1", "+65"))
    assert database.run_sync(lambda c: allowed_prefixes.list_of_account(c, "acc_1")) == ("+1900",)
    assert database.run_sync(lambda c: allowed_prefixes.list_of_account(c, "acc_2")) == ("+65",)
    assert database.run_sync(lambda c: allowed_prefixes.list_of_account(c, "acc_3")) == ()


def test_prefixes_belong_to_an_account(database: Database) -> None:
    """Nobody is allowed anything before they exist."""
    with pytest.raises(IntegrityError):
        database.run_sync(lambda c: allowed_prefixes.insert(c, "acc_9", "+65"))
