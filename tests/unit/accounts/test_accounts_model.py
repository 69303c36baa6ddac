"""Accounts' values have the columns of their tables, and tokens know their time."""

from __future__ import annotations

from dataclasses import fields, replace

from voiceblocks.accounts.model import AccessToken, Account, Application, Number
from voiceblocks.database import schema
from voiceblocks.ids import AppId

TOKEN = AccessToken(
    lookup=bytes(32), app_id=AppId("app"), sealed=b"sealed", key_id="key", created_us=1
)


def test_fields_are_the_columns() -> None:
    """A column that is added to a table is added to its value."""
    for kind, table in (
        (Account, schema.accounts),
        (Application, schema.applications),
        (AccessToken, schema.access_tokens),
        (Number, schema.numbers),
    ):
        assert [field.name for field in fields(kind)] == table.c.keys()


def test_token_without_end_is_valid() -> None:
    """Expiry is optional."""
    assert TOKEN.is_valid(2**60)


def test_token_ends_at_its_expiry() -> None:
    """The last microsecond before it is still good."""
    token = replace(TOKEN, expires_us=100)
    assert token.is_valid(99)
    assert not token.is_valid(100)


def test_revoked_token_is_not_valid() -> None:
    """Revoking is at once and for ever."""
    assert not replace(TOKEN, revoked_us=5).is_valid(1)


def test_sealed_secret_is_not_shown() -> None:
    """A token in a log line tells nothing of its secret."""
    assert "sealed" not in repr(TOKEN)
