"""An operator disables an account, an application or a number, or enables it again.

Whoever is disabled begins nothing any more: requests are refused, numbers cannot be reached. What
runs is not cut off in the middle of a sentence: a block goes on to its end and is told, and as no
next one is accepted the call ends then. Functions of a connection, as in `manage_accounts`.
"""

from __future__ import annotations

from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.accounts.model import Application, Number
from voiceblocks.database import accounts
from voiceblocks.workflows.manage_accounts import require_account


def disable_account(connection: Connection, account_id: str, at_us: int | None) -> None:
    """Disable an account with all that is its own; `None` enables it."""
    require_account(connection, account_id)
    accounts.update_account(connection, account_id, disabled_us=at_us)


def disable_application(connection: Connection, app_id: str, at_us: int | None) -> None:
    """Disable an application; `None` enables it, with the tokens that it had."""
    require_application(connection, app_id)
    accounts.update_application(connection, app_id, revoked_us=at_us)


def disable_number(connection: Connection, text: str, at_us: int | None) -> Number:
    """Let a number be unreachable; `None` lets it ring again."""
    number = require_number(connection, text)
    accounts.update_number(connection, number.number, disabled_us=at_us)
    return require_number(connection, text)


def require_application(connection: Connection, app_id: str) -> Application:
    """Return the application; a sentence where there is none."""
    found = accounts.find_application(connection, app_id)
    if found is None:
        raise ValueError(f"There is no application {app_id}: see `voiceblocks app list`")
    return found


def require_number(connection: Connection, text: str) -> Number:
    """Return a number that can be called, or could be; a sentence where there is none."""
    number = e164.normalise(text)
    found = None if number is None else accounts.find_number_for_update(connection, number)
    if found is None:
        raise ValueError(f"There is no number {text}: see `voiceblocks number list`")
    return found
