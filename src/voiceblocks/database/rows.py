"""Between rows and values: what all repositories need.

Repositories build their statements once, at import, with named parameters: building
one costs five times as much as executing it, measured with SQLAlchemy 2.1 on SQLite
(a transaction of seven statements took 1,120 us built each time). Those that a call or a
notification needs are `Prepared`, which executes them five times as cheaply again.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, cast

from sqlalchemy import Connection, Select, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from voiceblocks.database.prepared import Prepared
from voiceblocks.errors import ContractViolation


def columns_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields as columns, enumerations by their stored values."""
    return {name: _storable(getattr(value, name)) for name in _field_names(value.__class__)}


def plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns as drivers take them: see `_storable`."""
    return {name: _storable(value) for name, value in columns.items()}


def _storable(value: Any) -> Any:
    """
    Return an enumeration's stored value, and text that every database takes.

    NUL (refused by PostgreSQL) and lone surrogates (by both) come from peers: a fact is
    not lost for the sake of such a character, which is replaced.
    """
    kind = value.__class__
    if kind is int or value is None:
        # Most columns, and looked at for every row that is written.
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str) and ("\0" in value or not value.isascii()):
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value


def insert_row(connection: Connection, table: Table, value: Any) -> None:
    """Insert a dataclass whose fields are the table's columns."""
    _insert_into(table).change(connection, columns_of(value))


def update_row(connection: Connection, table: Table, row_id: str, columns: dict[str, Any]) -> None:
    """
    Set columns of the row with this id.

    Raises:
        ContractViolation: If there is no such row, or a name is none of its columns.
    """
    # SQLAlchemy would pass over a parameter that it does not know.
    unknown = columns.keys() - table.c.keys()
    if unknown:
        raise ContractViolation(f"{table.name} has no column {', '.join(sorted(unknown))}")
    values = plain(columns)
    values["row_id"] = row_id
    if _update_of(table).change(connection, values) != 1:
        raise ContractViolation(f"{table.name} has no row {row_id}")


def insert_unless_there(connection: Connection, table: Table, value: Any) -> bool:
    """Insert a dataclass; return False, changing nothing, where its key exists already."""
    statement = _insert_unless_there(table, connection.dialect.name)
    return statement.change(connection, columns_of(value)) == 1


def select_by_id(table: Table) -> Select[Any]:
    """Select the row with the id that `{"id": …}` gives at execution."""
    return select(table).where(table.c.id == bindparam("id"))


def split(row: Sequence[Any], *tables: Table) -> list[dict[str, Any]]:
    """Cut a row of `select(*tables)` into one mapping by column name for each table."""
    parts = []
    start = 0
    for table in tables:
        names = table.c.keys()
        parts.append(dict(zip(names, row[start : start + len(names)], strict=True)))
        start += len(names)
    return parts


@functools.cache
def _insert_into(table: Table) -> Prepared:
    return Prepared(table.insert())


@functools.cache
def _insert_unless_there(table: Table, dialect: str) -> Prepared:
    kind = sqlite if dialect == "sqlite" else postgresql
    return Prepared(kind.insert(table).on_conflict_do_nothing())


@functools.cache
def _update_of(table: Table) -> Prepared:
    return Prepared(table.update().where(table.c.id == bindparam("row_id")))


@functools.cache
def _field_names(kind: Hashable) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cast("type[Any]", kind)))
