"""How each node's registrations at its trunks stand, as its server wrote it down last.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row
from voiceblocks.trunks.model import RegistrationState, TrunkRegistration

_table = schema.trunk_registrations

_ALL = Prepared(select(_table).order_by(_table.c.trunk_id, _table.c.node))
_DELETE = Prepared(_table.delete().where(_table.c.node == bindparam("of_node")))


def replace(connection: Connection, node: str, found: Iterable[TrunkRegistration]) -> None:
    """A node's registrations are these from now on."""
    _DELETE.change(connection, {"of_node": node})
    for one in found:
        insert_row(connection, _table, one)


def list_all(connection: Connection) -> list[TrunkRegistration]:
    """Those of all nodes, by trunk and node."""
    rows = _ALL.all_by_name(connection)
    return [
        TrunkRegistration(**(dict(row) | {"state": RegistrationState(row["state"])}))
        for row in rows
    ]
