"""What an operator changes of an account: whom it may call, its limits, its credit.

Functions of a connection: the command line runs them in one transaction each. Bad input
raises `ValueError` with a sentence that says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.accounts.model import Account, Application
from voiceblocks.database import accounts, allowed_prefixes
from voiceblocks.money import Thousandths, thousandths_from
from voiceblocks.workflows.manage_accounts import no_account, require_account

_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}\Z")
_SEPARATORS = re.compile(r"[\s().-]")
_NONE = "none"
"What takes a limit or the registered number away again."
_LIMIT_MOST = 1_000_000


def allow_prefixes(
    connection: Connection, *, account_id: str, prefixes: Sequence[str]
) -> tuple[str, ...]:
    """Let an account call numbers with these prefixes; returns all that it has then."""
    require_account(connection, account_id)
    for prefix in [_read_prefix(prefix) for prefix in prefixes]:
        allowed_prefixes.insert(connection, account_id, prefix)
    return allowed_prefixes.list_of_account(connection, account_id)


def disallow_prefixes(
    connection: Connection, *, account_id: str, prefixes: Sequence[str]
) -> tuple[str, ...]:
    """Take prefixes away again; returns those that are left."""
    require_account(connection, account_id)
    before = allowed_prefixes.list_of_account(connection, account_id)
    for prefix in [_read_prefix(prefix) for prefix in prefixes]:
        if not allowed_prefixes.delete(connection, account_id, prefix):
            has = ", ".join(before) or "none"
            raise ValueError(f"{prefix} is none of its allowed prefixes, which are: {has}")
    return allowed_prefixes.list_of_account(connection, account_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanges:
    """What is to change, as it was typed; `None` leaves it, `"none"` takes a limit away."""

    registered_number: str | None = None
    dials_per_minute: str | None = None
    spend_per_day: str | None = None
    max_calls: str | None = None
    recordings_quota_mb: str | None = None
    credit_add: str | None = None


def change_account(connection: Connection, *, account_id: str, changes: AccountChanges) -> Account:
    """Change what is named; returns the account as it is then."""
    # Locked: calls that are being placed count by the old figures or the new ones.
    if accounts.find_account_for_update(connection, account_id) is None:
        raise no_account(account_id)
    columns: dict[str, Any] = {}
    if changes.registered_number is not None:
        columns["registered_number"] = _read_registered_number(changes.registered_number)
    if changes.dials_per_minute is not None:
        columns["dials_per_minute"] = _read_limit(changes.dials_per_minute, "calls per minute", 0)
    if changes.max_calls is not None:
        columns["max_calls"] = _read_limit(changes.max_calls, "simultaneous calls", 1)
    if changes.recordings_quota_mb is not None:
        quota_mb = _read_limit(changes.recordings_quota_mb, "megabytes", 0)
        columns["recordings_quota_bytes"] = None if quota_mb is None else quota_mb * 1_000_000
    if changes.spend_per_day is not None:
        columns["spend_per_day"] = _read_spending(changes.spend_per_day)
    if not columns and changes.credit_add is None:
        raise ValueError("Nothing to change: see `voiceblocks account set --help`")
    if columns:
        accounts.update_account(connection, account_id, **columns)
    if changes.credit_add is not None:
        accounts.change_credit(connection, account_id, thousandths_from(changes.credit_add))
    return require_account(connection, account_id)


def change_application(
    connection: Connection, *, app_id: str, keep_recordings_days: str
) -> Application:
    """Change the keep time of an application's recordings; returns it as it is then."""
    if accounts.find_application(connection, app_id) is None:
        raise ValueError(f"There is no application {app_id}: see `voiceblocks app list`")
    days = _read_limit(keep_recordings_days, "days", 0)
    accounts.update_application(connection, app_id, keep_recordings_days=days)
    changed = accounts.find_application(connection, app_id)
    assert changed is not None
    return changed


def _read_prefix(text: str) -> str:
    """A plus sign may be lost on the way; a prefix that is none would open the world."""
    digits = _SEPARATORS.sub("", text)
    prefix = digits if digits.startswith("+") else f"+{digits}"
    if _PREFIX.match(prefix) is None:
        raise ValueError(
            f"{text!r} is not a prefix: write the country code and as many digits as you like, "
            "such as +65 or +6563"
        )
    return prefix


def _read_registered_number(text: str) -> str | None:
    if text == _NONE:
        return None
    number = e164.normalise(text)
    if number is None:
        raise ValueError(f"{text} is not a phone number: write it with country code, +6591234567")
    return number


def _read_limit(text: str, what: str, least: int) -> int | None:
    if text == _NONE:
        return None
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= _LIMIT_MOST:
        raise ValueError(
            f"{text} is no number of {what}: give {least} or more, or `none` for what the "
            "server's settings say"
        )
    return int(text)


def _read_spending(text: str) -> Thousandths | None:
    if text == _NONE:
        return None
    amount = thousandths_from(text)
    if amount < 0:
        raise ValueError("An account spends 0 or more a day, or `none` for no limit but its credit")
    return amount
