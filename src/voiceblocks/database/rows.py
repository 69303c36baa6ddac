"""Between rows and values: what all repositories need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from voiceblocks.errors import ContractViolation


def columns_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields as columns, enumerations by their stored values."""
    return plain({field.name: getattr(value, field.name) for field in fields(value)})


def plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns with enumerations replaced by their stored values."""
    return {
        name: value.value if isinstance(value, Enum) else value for name, value in columns.items()
    }


def insert_row(connection: Connection, table: Table, value: Any) -> None:
    """Insert a dataclass whose fields are the table's columns."""
    connection.execute(table.insert().values(columns_of(value)))


def update_row(connection: Connection, table: Table, row_id: str, columns: dict[str, Any]) -> None:
    """
    Set columns of the row with this id.

    Raises:
        ContractViolation: If there is no such row.
    """
    statement = table.update().where(table.c.id == row_id).values(plain(columns))
    if connection.execute(statement).rowcount != 1:
        raise ContractViolation(f"{table.name} has no row {row_id}")


def insert_unless_there(connection: Connection, table: Table, value: Any) -> bool:
    """Insert a dataclass; return False, changing nothing, where its key exists already."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(columns_of(value)).on_conflict_do_nothing()
    return connection.execute(statement).rowcount == 1
