"""The ledger's entries. They are only ever added; triggers refuse everything else.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.billing.ledger import Balances, bonus_book, points_book
from voiceblocks.billing.model import EntryKind, LedgerEntry
from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row, insert_unless_there
from voiceblocks.money import Thousandths

_table = schema.ledger_entries

_OF_ACCOUNT = Prepared(
    select(_table)
    .where(_table.c.account_id == bindparam("account_id"))
    .order_by(_table.c.created_us.desc(), _table.c.id.desc())
    .limit(bindparam("most"))
)


def _sums(book: Any) -> Any:
    return (
        select(book, func.sum(_table.c.amount))
        .where(_table.c.account_id == bindparam("account_id"))
        .group_by(book)
    )


_OUT, _IN = _sums(_table.c.from_book), _sums(_table.c.to_book)


def enter_once(connection: Connection, entries: Sequence[LedgerEntry]) -> bool:
    """
    Add the entries of one transaction; False, changing nothing, where it is entered already.

    Only who gets True may change the credit that the account's row keeps beside its books.
    """
    first, *others = entries
    if not insert_unless_there(connection, _table, first):
        return False
    for entry in others:
        insert_row(connection, _table, entry)
    return True


def list_of_account(connection: Connection, account_id: str, most: int) -> list[LedgerEntry]:
    """Return at most so many entries of an account, newest first."""
    rows = _OF_ACCOUNT.all_by_name(connection, {"account_id": account_id, "most": most})
    return [_entry_from(row) for row in rows]


def balances(connection: Connection, account_id: str) -> Balances:
    """Return what the account's books hold, added up from its entries."""
    held: dict[str, int] = {}
    for statement, sign in ((_OUT, -1), (_IN, 1)):
        for book, amount in connection.execute(statement, {"account_id": account_id}):
            held[book] = held.get(book, 0) + sign * int(amount)
    return Balances(
        points=Thousandths(held.get(points_book(account_id), 0)),
        bonus=Thousandths(held.get(bonus_book(account_id), 0)),
    )


def _entry_from(row: Mapping[Any, Any]) -> LedgerEntry:
    return LedgerEntry(**{**row, "kind": EntryKind(row["kind"])})
