"""Tariffs in the database.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from voiceblocks.billing.model import Tariff
from voiceblocks.billing.rating import rate_from
from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row
from voiceblocks.money import Thousandths


def insert(connection: Connection, tariff: Tariff) -> None:
    """Insert a new tariff."""
    insert_row(connection, schema.tariffs, tariff)


def rate_for(connection: Connection, direction: str, number: str, currency: str) -> Thousandths:
    """Return the rate of the tariff with the longest fitting prefix, else the default."""
    table = schema.tariffs
    statement = (
        select(table)
        .where(
            table.c.direction == str(direction),
            table.c.currency == currency,
            # All prefixes of the number: the primary key finds each of them directly.
            table.c.prefix.in_([number[:length] for length in range(len(number) + 1)]),
        )
        .order_by(func.length(table.c.prefix).desc())
        .limit(1)
    )
    row = connection.execute(statement).mappings().first()
    return rate_from(None if row is None else Tariff(**row), str(direction), currency)
