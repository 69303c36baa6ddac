"""Tariffs in the database.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.billing.model import Price, Tariff
from voiceblocks.billing.rating import price_from
from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row

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


_KEY = ("direction", "prefix", "currency")
_DELETE = Prepared(
    _table.delete().where(*(_table.c[name] == bindparam("its_" + name) for name in _KEY))
)
_ONE = Prepared(
    select(_table).where(*(_table.c[name] == bindparam("its_" + name) for name in _KEY))
)
_DELETE_ALL = Prepared(_table.delete())
_ALL = Prepared(select(_table).order_by(_table.c.direction, _table.c.currency, _table.c.prefix))


def insert(connection: Connection, tariff: Tariff) -> None:
    """Insert a new tariff."""
    insert_row(connection, _table, tariff)


def delete_all(connection: Connection) -> None:
    """Delete every tariff; calls that are running keep their price."""
    _DELETE_ALL.change(connection)


def replace(connection: Connection, tariff: Tariff) -> None:
    """Insert a tariff in place of one with the same direction, prefix and currency."""
    key = {"its_" + name: getattr(tariff, name) for name in _KEY}
    _DELETE.change(connection, key)
    insert(connection, tariff)


def delete(connection: Connection, direction: str, prefix: str, currency: str) -> Tariff | None:
    """Delete a tariff and return it; `None` where there is none."""
    key = {"its_direction": direction, "its_prefix": prefix, "its_currency": currency}
    row = _ONE.first_by_name(connection, key)
    _DELETE.change(connection, key)
    return None if row is None else Tariff(**row)


def list_tariffs(connection: Connection) -> list[Tariff]:
    """Return all tariffs, by direction, currency and prefix."""
    return [Tariff(**row) for row in _ALL.all_by_name(connection)]


def price_for(connection: Connection, direction: str, number: str, currency: str) -> Price:
    """Return the price by the tariff with the longest fitting prefix, else the default."""
    return price_from(find_for(connection, direction, number, currency), str(direction), currency)


def find_for(connection: Connection, direction: str, number: str, currency: str) -> Tariff | None:
    """Return the tariff with the longest fitting prefix; `None` where none fits."""
    parameters = {
        "direction": str(direction),
        "currency": currency,
        "prefixes": [number[:length] for length in range(len(number) + 1)],
    }
    row = connection.execute(_LONGEST_PREFIX, parameters).mappings().first()
    return None if row is None else Tariff(**row)
