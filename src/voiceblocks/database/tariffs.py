"""Tariffs in the database.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.billing.model import Tariff
from voiceblocks.billing.rating import rate_from
from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row
from voiceblocks.money import Thousandths

_table = schema.tariffs

# All prefixes of the number are asked for: the primary key finds each of them directly.
_LONGEST_PREFIX = (
    select(_table)
    .where(
        _table.c.direction == bindparam("direction"),
        _table.c.currency == bindparam("currency"),
        _table.c.prefix.in_(bindparam("prefixes", expanding=True)),
    )
    .order_by(func.length(_table.c.prefix).desc())
    .limit(1)
)


def insert(connection: Connection, tariff: Tariff) -> None:
    """Insert a new tariff."""
    insert_row(connection, _table, tariff)


def rate_for(connection: Connection, direction: str, number: str, currency: str) -> Thousandths:
    """Return the rate of the tariff with the longest fitting prefix, else the default."""
    parameters = {
        "direction": str(direction),
        "currency": currency,
        "prefixes": [number[:length] for length in range(len(number) + 1)],
    }
    row = connection.execute(_LONGEST_PREFIX, parameters).mappings().first()
    return rate_from(None if row is None else Tariff(**row), str(direction), currency)
