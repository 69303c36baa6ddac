"""The ledger of a span of time, oldest first.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from voiceblocks.billing.ledger import bonus_book, points_book
from voiceblocks.billing.model import EntryKind, LedgerEntry
from voiceblocks.database import schema
from voiceblocks.money import Thousandths

_table = schema.ledger_entries

_OF_SPAN = (
    select(_table)
    .where(
        _table.c.account_id == bindparam("account_id"),
        _table.c.created_us >= bindparam("from_us"),
        _table.c.created_us < bindparam("to_us"),
    )
    .order_by(_table.c.created_us, _table.c.id)
)


def _sum_before(book: ColumnElement[str]) -> Select[Any]:
    return select(func.coalesce(func.sum(_table.c.amount), 0)).where(
        _table.c.account_id == bindparam("account_id"),
        _table.c.created_us < bindparam("before_us"),
        book.in_(bindparam("books", expanding=True)),
    )


_GAINED, _PAID = _sum_before(_table.c.to_book), _sum_before(_table.c.from_book)


def held_before(connection: Connection, account_id: str, before_us: int) -> Thousandths:
    """Return what an account's books held together just before a moment."""
    values = {
        "account_id": account_id,
        "before_us": before_us,
        "books": [points_book(account_id), bonus_book(account_id)],
    }
    gained, paid = (
        connection.execute(statement, values).scalar_one() for statement in (_GAINED, _PAID)
    )
    # PostgreSQL adds up bigints to a numeric.
    return Thousandths(int(gained) - int(paid))


def entries(
    connection: Connection, account_id: str, from_us: int, to_us: int
) -> Iterator[LedgerEntry]:
    """Yield an account's entries from `from_us` until before `to_us`."""
    values = {"account_id": account_id, "from_us": from_us, "to_us": to_us}
    for row in connection.execute(_OF_SPAN, values).mappings():
        yield LedgerEntry(**{**row, "kind": EntryKind(row["kind"])})
