"""Whom accounts may call (decision 9), in the database.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared

_table = schema.allowed_prefixes
_OF_ACCOUNT = (
    select(_table.c.prefix)
    .where(_table.c.account_id == bindparam("of_account"))
    .order_by(_table.c.prefix)
)
_ALL = Prepared(select(_table).order_by(_table.c.account_id, _table.c.prefix))
_INSERT = Prepared(_table.insert())
_DELETE = Prepared(
    _table.delete().where(
        _table.c.account_id == bindparam("of_account"), _table.c.prefix == bindparam("of_prefix")
    )
)


def list_of_account(connection: Connection, account_id: str) -> tuple[str, ...]:
    """Return the prefixes of the numbers that the account may call, in order."""
    return tuple(connection.execute(_OF_ACCOUNT, {"of_account": account_id}).scalars())


def by_account(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Return the allowed prefixes of all accounts that have any."""
    found: dict[str, tuple[str, ...]] = {}
    for account_id, prefix in _ALL.all(connection):
        found[account_id] = (*found.get(account_id, ()), prefix)
    return found


def insert(connection: Connection, account_id: str, prefix: str) -> bool:
    """Let the account call numbers with this prefix; False where it could already."""
    if prefix in list_of_account(connection, account_id):
        return False
    _INSERT.change(connection, {"account_id": account_id, "prefix": prefix})
    return True


def delete(connection: Connection, account_id: str, prefix: str) -> bool:
    """Take an allowed prefix away; False where the account had not this one."""
    values = {"of_account": account_id, "of_prefix": prefix}
    return _DELETE.change(connection, values) == 1
