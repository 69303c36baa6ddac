"""Charges in the database: what was billed, each leg exactly once.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.billing.model import Charge
from voiceblocks.billing.rating import charge_id
from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_unless_there
from voiceblocks.money import Thousandths

_table = schema.charges

_OF_SESSION = Prepared(
    select(_table)
    .where(_table.c.session_id == bindparam("session_id"))
    .order_by(_table.c.created_us, _table.c.id)
)
_BY_ID = (
    select(_table)
    .where(_table.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_table.c.created_us, _table.c.id)
)
_SUM_SINCE = Prepared(
    select(func.coalesce(func.sum(_table.c.amount), 0)).where(
        _table.c.account_id == bindparam("account_id"), _table.c.created_us >= bindparam("since_us")
    )
)


def insert_once(connection: Connection, charge: Charge) -> bool:
    """
    Insert a charge; False, changing nothing, where one with this id exists.

    Only who gets True may take the amount from the account's credit.
    """
    return insert_unless_there(connection, _table, charge)


def list_of_session(connection: Connection, session_id: str) -> list[Charge]:
    """Return all that a session was charged, oldest first. Reads every charge: for checks."""
    rows = _OF_SESSION.all_by_name(connection, {"session_id": session_id})
    return [Charge(**row) for row in rows]


def list_of_legs(connection: Connection, session_id: str, legs: int) -> list[Charge]:
    """Return the charges of a session's first so many legs, oldest first."""
    # By their ids, which say session and leg: no index has the session.
    ids = [charge_id(session_id, number) for number in range(1, legs + 1)]
    rows = connection.execute(_BY_ID, {"ids": ids}).mappings()
    return [Charge(**row) for row in rows]


def sum_since(connection: Connection, account_id: str, since_us: int) -> Thousandths:
    """Return what the account was charged at `since_us` or later."""
    values = {"account_id": account_id, "since_us": since_us}
    # PostgreSQL adds up bigints to a numeric.
    return Thousandths(int(_SUM_SINCE.value(connection, values)))
