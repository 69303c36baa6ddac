"""An application gets another access token, and loses an old one, without a moment between.

While both are good the application may use either; its notifications are signed with the newest.
Functions of a connection; bad input raises `ValueError` with a sentence that says what to do.
"""

from __future__ import annotations

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.accounts.model import AccessToken, Application
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.database import accounts

_DAY_US = 86_400_000_000
_NAME_BYTES = 4


def name_of(token: AccessToken) -> str:
    """Eight hex digits that name a token and tell nothing about it."""
    return token.lookup[:_NAME_BYTES].hex()


def add_token(
    connection: Connection, key: SecretKey, *, app_id: str, days: int | None, now_us: int
) -> tuple[str, str]:
    """Return the name and the text of a new token, good for `days` or for ever."""
    application = _require(connection, app_id)
    text = ids.new_access_token()
    lookup = key.lookup(text)
    accounts.insert_token(
        connection,
        lookup=lookup,
        app_id=application.id,
        sealed=key.seal(text, application.id),
        key_id=key.key_id,
        created_us=now_us,
        expires_us=None if days is None else now_us + days * _DAY_US,
    )
    return lookup[:_NAME_BYTES].hex(), text


def list_tokens(connection: Connection, app_id: str) -> list[AccessToken]:
    """Return the application's tokens, oldest first."""
    return accounts.list_tokens(connection, _require(connection, app_id).id)


def revoke_token(connection: Connection, *, app_id: str, name: str, now_us: int) -> None:
    """Make a token worthless at once; the last good one too, which silences the application."""
    found = [one for one in list_tokens(connection, app_id) if name_of(one) == name.lower()]
    if not found:
        raise ValueError(f"{app_id} has no token {name}: see `voiceblocks app token list {app_id}`")
    if not accounts.revoke_token(connection, found[0].lookup, now_us):
        raise ValueError(f"Token {name} was revoked before")


def _require(connection: Connection, app_id: str) -> Application:
    application = accounts.find_application(connection, app_id)
    if application is None:
        raise ValueError(f"There is no application {app_id}: see `voiceblocks app list`")
    return application
