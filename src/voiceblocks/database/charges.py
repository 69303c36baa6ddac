"""Charges in the database: what was billed, each leg exactly once.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from voiceblocks.billing.model import Charge
from voiceblocks.database import schema
from voiceblocks.database.rows import insert_unless_there

_table = schema.charges

_OF_SESSION = (
    select(_table)
    .where(_table.c.session_id == bindparam("session_id"))
    .order_by(_table.c.created_us, _table.c.id)
)


def insert_once(connection: Connection, charge: Charge) -> bool:
    """
    Insert a charge; False, changing nothing, where one with this id exists.

    Only who gets True may take the amount from the account's credit.
    """
    return insert_unless_there(connection, _table, charge)


def list_of_session(connection: Connection, session_id: str) -> list[Charge]:
    """Return the session's charges, oldest first."""
    rows = connection.execute(_OF_SESSION, {"session_id": session_id}).mappings()
    return [Charge(**row) for row in rows]
