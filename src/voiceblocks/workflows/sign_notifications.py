"""Which token signs an application's notifications: the newest valid one (decision 6)."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.database import accounts


def newest_token(key: SecretKey) -> Callable[[Connection, str, int], str | None]:
    """Return a function of (connection, app_id, now_us) that gives the token, or `None`."""

    def find(connection: Connection, app_id: str, now_us: int) -> str | None:
        token = accounts.newest_token(connection, app_id, now_us)
        return None if token is None else key.unseal(token.sealed, app_id)

    return find
