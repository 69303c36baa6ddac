"""An application's access tokens, as an operator sees them: never the tokens themselves.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from voiceblocks.accounts.model import AccessToken
from voiceblocks.database import schema

_tokens = schema.access_tokens

_OF_APPLICATION = (
    select(_tokens)
    .where(_tokens.c.app_id == bindparam("app_id"))
    .order_by(_tokens.c.created_us, _tokens.c.lookup)
)


def list_of_application(connection: Connection, app_id: str) -> list[AccessToken]:
    """Return all tokens that an application ever had, oldest first."""
    rows = connection.execute(_OF_APPLICATION, {"app_id": app_id}).mappings()
    return [AccessToken(**row) for row in rows]
