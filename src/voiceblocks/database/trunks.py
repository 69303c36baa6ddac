"""Trunks in the database. Lists are stored as text with commas.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import columns_of, plain
from voiceblocks.trunks.model import CallerIn, DialledIn, DtmfMode, NumberFormat, Trunk

_table = schema.trunks

_LISTS = ("prefixes", "sources")
_ENUMS = {
    "number_format": NumberFormat,
    "dialled_in": DialledIn,
    "caller_in": CallerIn,
    "dtmf": DtmfMode,
}

_ALL = Prepared(select(_table).order_by(_table.c.created_us, _table.c.id))
_BY_NAME = Prepared(select(_table).where(_table.c.name == bindparam("name")))
_INSERT = Prepared(_table.insert())
_UPDATE = Prepared(
    _table.update()
    .where(_table.c.id == bindparam("its_id"))
    .values({name: bindparam(name) for name in _table.c.keys() if name != "id"})  # noqa: SIM118
)
_DISABLE = (
    _table.update()
    .where(_table.c.name == bindparam("trunk_name"))
    .values(disabled_us=bindparam("at_us"))
)
_DELETE = Prepared(_table.delete().where(_table.c.name == bindparam("trunk_name")))


def insert(connection: Connection, trunk: Trunk) -> None:
    """Insert a new trunk."""
    columns = columns_of(trunk)
    for name in _LISTS:
        columns[name] = ",".join(columns[name])
    _INSERT.change(connection, plain(columns))


def update(connection: Connection, trunk: Trunk) -> None:
    """Store a trunk as it is now; which one is told by its id."""
    columns = columns_of(trunk)
    for name in _LISTS:
        columns[name] = ",".join(columns[name])
    columns["its_id"] = columns.pop("id")
    _UPDATE.change(connection, plain(columns))


def list_trunks(connection: Connection) -> list[Trunk]:
    """Return all trunks, oldest first, disabled ones too."""
    return [_trunk(row) for row in _ALL.all_by_name(connection)]


def find_by_name(connection: Connection, name: str) -> Trunk | None:
    """Return the trunk, `None` where there is none."""
    row = _BY_NAME.first_by_name(connection, {"name": name})
    return None if row is None else _trunk(row)


def set_disabled(connection: Connection, name: str, at_us: int | None) -> bool:
    """Disable a trunk, or enable it with `None`; False where there is none."""
    found = connection.execute(_DISABLE, {"trunk_name": name, "at_us": at_us})
    return found.rowcount == 1


def delete(connection: Connection, name: str) -> bool:
    """Delete a trunk; False where there is none."""
    return _DELETE.change(connection, {"trunk_name": name}) == 1


def _trunk(row: Mapping[Any, Any]) -> Trunk:
    columns: dict[str, Any] = dict(row)
    for name in _LISTS:
        columns[name] = tuple(part for part in columns[name].split(",") if part)
    for name, kind in _ENUMS.items():
        columns[name] = kind(columns[name])
    return Trunk(**columns)
