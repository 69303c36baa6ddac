"""What an operator changes of an account: whom it may call, its limits, its credit.

Functions of a connection: the command line runs them in one transaction each. Bad input
raises `ValueError` with a sentence that says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import phonenumbers
from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.accounts.model import Account, Application
from voiceblocks.billing.model import EntryKind
from voiceblocks.database import accounts, allowed_prefixes
from voiceblocks.money import NOTHING, Thousandths, thousandths_from
from voiceblocks.recordings.sealing_keys import read_public_key
from voiceblocks.workflows.keep_books import adjust
from voiceblocks.workflows.manage_accounts import no_account, require_account

_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}\Z")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}\Z")
_SEPARATORS = re.compile(r"[\s().-]")
NO_VALUE = "none"
"What takes a limit, a key or the registered number away again."
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
    max_numbers: str | None = None
    rate_limit_ivr: str | None = None
    rate_limit_query: str | None = None
    overdraft: str | None = None
    email: str | None = None
    country: str | None = None
    trial: bool | None = None
    credit_add: str | None = None
    bonus_add: str | None = None


def change_account(
    connection: Connection, *, account_id: str, changes: AccountChanges, now_us: int
) -> Account:
    """Change what is named; returns the account as it is then."""
    # Locked: calls that are being placed count by the old figures or the new ones.
    if accounts.find_account_for_update(connection, account_id) is None:
        raise no_account(account_id)
    columns: dict[str, Any] = {
        name: read(text)
        for name, read in _READERS.items()
        if (text := getattr(changes, name)) is not None
    }
    if changes.recordings_quota_mb is not None:
        quota_mb = _read_limit(changes.recordings_quota_mb, what="megabytes", least=0)
        columns["recordings_quota_bytes"] = None if quota_mb is None else quota_mb * 1_000_000
    money = [
        (thousandths_from(text), kind)
        for text, kind in (
            (changes.credit_add, EntryKind.TOP_UP),
            (changes.bonus_add, EntryKind.BONUS),
        )
        if text is not None
    ]
    # Who pays has finished trying, unless that is what is said now.
    if changes.trial is not None:
        columns["is_trial"] = changes.trial
    elif any(kind is EntryKind.TOP_UP and amount > 0 for amount, kind in money):
        columns["is_trial"] = False
    if not columns and not money:
        raise ValueError("Nothing to change: see `voiceblocks account set --help`")
    if columns:
        accounts.update_account(connection, account_id, **columns)
    for amount, kind in money:
        if kind is EntryKind.BONUS and amount < 0:
            raise ValueError("A bonus is 0 or more: take from the credit with --credit-add")
        adjust(connection, account_id, amount, kind=kind, note="account set", at_us=now_us)
    return require_account(connection, account_id)


def change_application(
    connection: Connection,
    *,
    app_id: str,
    keep_recordings_days: str | None = None,
    silences_keys: bool | None = None,
    seal_with: bytes | Literal["none"] | None = None,
) -> Application:
    """Change what is named of an application's recordings; returns it as it is then."""
    if accounts.find_application(connection, app_id) is None:
        raise ValueError(f"There is no application {app_id}: see `voiceblocks app list`")
    columns: dict[str, Any] = {}
    if keep_recordings_days is not None:
        columns["keep_recordings_days"] = _read_limit(keep_recordings_days, what="days", least=0)
    if silences_keys is not None:
        columns["silences_keys"] = silences_keys
    if seal_with is not None:
        columns["seal_for"] = None if isinstance(seal_with, str) else read_public_key(seal_with)
    if not columns:
        raise ValueError("Nothing to change: see `voiceblocks app set --help`")
    accounts.update_application(connection, app_id, **columns)
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
    if text == NO_VALUE:
        return None
    number = e164.normalise(text)
    if number is None:
        raise ValueError(f"{text} is not a phone number: write it with country code, +6591234567")
    return number


def _read_limit(text: str, *, what: str, least: int) -> int | None:
    if text == NO_VALUE:
        return None
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= _LIMIT_MOST:
        raise ValueError(
            f"{text} is no number of {what}: give {least} or more, or `none` for what the "
            "server's settings say"
        )
    return int(text)


def _read_spending(text: str) -> Thousandths | None:
    if text == NO_VALUE:
        return None
    amount = thousandths_from(text)
    if amount < 0:
        raise ValueError("An account spends 0 or more a day, or `none` for no limit but its credit")
    return amount


def _read_overdraft(text: str) -> Thousandths:
    amount = NOTHING if text == NO_VALUE else thousandths_from(text)
    if amount < 0:
        raise ValueError("An overdraft is how far below zero calls may go: 0 or more")
    return amount


def _read_email(text: str) -> str | None:
    if text == NO_VALUE:
        return None
    if _EMAIL.match(text) is None:
        raise ValueError(f"{text!r} is not an e-mail address, such as somebody@example.com")
    return text


def read_country(text: str) -> str:
    """Read an ISO 3166-1 code; a sentence where it is none."""
    country = text.strip().upper()
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{text!r} is not a country: give its two letters, such as SG")
    return country


def _read_account_country(text: str) -> str | None:
    return None if text == NO_VALUE else read_country(text)


_READERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "registered_number": _read_registered_number,
        "dials_per_minute": partial(_read_limit, what="calls per minute", least=0),
        "max_calls": partial(_read_limit, what="simultaneous calls", least=1),
        "max_numbers": partial(_read_limit, what="subscribed numbers", least=0),
        "rate_limit_ivr": partial(_read_limit, what="requests per minute", least=1),
        "rate_limit_query": partial(_read_limit, what="requests per minute", least=1),
        "spend_per_day": _read_spending,
        "overdraft": _read_overdraft,
        "email": _read_email,
        "country": _read_account_country,
    }
)
"How each column that is changed as it was typed is read."
