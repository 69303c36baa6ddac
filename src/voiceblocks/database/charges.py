"""Charges in the database: what was billed, each leg exactly once.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from voiceblocks.billing.model import Charge
from voiceblocks.database import schema
from voiceblocks.database.rows import insert_unless_there


def insert_once(connection: Connection, charge: Charge) -> bool:
    """
    Insert a charge; False, changing nothing, where one with this id exists.

    Only who gets True may take the amount from the account's credit.
    """
    return insert_unless_there(connection, schema.charges, charge)


def list_of_session(connection: Connection, session_id: str) -> list[Charge]:
    """Return the session's charges, oldest first."""
    table = schema.charges
    statement = (
        select(table)
        .where(table.c.session_id == session_id)
        .order_by(table.c.created_us, table.c.id)
    )
    return [Charge(**row) for row in connection.execute(statement).mappings()]
