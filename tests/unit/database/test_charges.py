"""Charges in SQL: each leg is billed once, whatever is repeated."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sqlalchemy import Connection

from tests.unit.database.nouns import seed
from voiceblocks.billing.model import Charge
from voiceblocks.database import accounts, charges
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import AccountId, SessionId
from voiceblocks.money import Thousandths

CHARGE = Charge(
    id="AA-S-1-a/in",
    session_id=SessionId("S-1-a"),
    account_id=AccountId("acc_1"),
    amount=Thousandths(140),
    currency="SGD",
    created_us=5,
)


def test_first_charge_counts(database: Database) -> None:
    """A second charge with the id of the first changes nothing and says so."""
    database.run_sync(lambda c: seed(c, "S-1-a"))
    assert database.run_sync(lambda c: charges.insert_once(c, CHARGE))
    again = replace(CHARGE, amount=Thousandths(999))
    assert not database.run_sync(lambda c: charges.insert_once(c, again))
    other = replace(CHARGE, id="AA-S-1-a/out", created_us=6)
    assert database.run_sync(lambda c: charges.insert_once(c, other))
    assert database.run_sync(lambda c: charges.list_of_session(c, "S-1-a")) == [CHARGE, other]
    assert database.run_sync(lambda c: charges.list_of_session(c, "S-1-b")) == []


async def test_settling_many_times_at_once_takes_the_money_once(database: Database) -> None:
    """Twenty that settle the same call at the same moment charge it once."""
    await database.run(lambda c: seed(c, "S-1-a"))

    def settle(connection: Connection) -> bool:
        is_first = charges.insert_once(connection, CHARGE)
        if is_first:
            accounts.change_credit(connection, "acc_1", Thousandths(-CHARGE.amount))
        return is_first

    answers = await asyncio.gather(*(database.run(settle) for _ in range(20)))
    assert sorted(answers) == [False] * 19 + [True]
    account = await database.run(lambda c: accounts.find_account(c, "acc_1"))
    assert account is not None
    assert account.credit == 100_000 - 140
