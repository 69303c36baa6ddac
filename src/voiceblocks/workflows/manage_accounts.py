"""What an operator sets up: accounts, applications with their tokens, numbers.

Functions of a connection: the command line runs them in one transaction each. Bad input
raises `ValueError` with a sentence that says what to do.
"""

from __future__ import annotations

from sqlalchemy import Connection

from voiceblocks import e164, ids
from voiceblocks.accounts.model import Account, Application, Number
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.billing.model import EntryKind
from voiceblocks.blocks.fields import NOTIFY_URL_MAX
from voiceblocks.blocks.urls import split_web_url
from voiceblocks.database import accounts
from voiceblocks.money import CURRENCIES, NOTHING, thousandths_from
from voiceblocks.workflows.keep_books import adjust


def create_account(
    connection: Connection,
    *,
    name: str,
    currency: str,
    credit: str,
    now_us: int,
    is_trial: bool = False,
) -> Account:
    """Make an account; `credit` is an amount such as `"100.00"`, of a trial's a present."""
    if not name.strip():
        raise ValueError("An account needs a name, by which you know it again")
    if currency not in CURRENCIES:
        raise ValueError(f"{currency} is not a currency we know: choose {', '.join(CURRENCIES)}")
    amount = thousandths_from(credit)
    if amount < 0:
        raise ValueError("An account begins with a credit of 0 or more")
    account = Account(
        id=ids.new_account_id(),
        name=name,
        currency=currency,
        credit=NOTHING,
        is_trial=is_trial,
        created_us=now_us,
    )
    accounts.insert_account(connection, account)
    adjust(
        connection,
        account.id,
        amount,
        kind=EntryKind.BONUS if is_trial else EntryKind.TOP_UP,
        note="first credit",
        at_us=now_us,
    )
    return require_account(connection, account.id)


def create_application(
    connection: Connection, key: SecretKey, *, account_id: str, name: str, now_us: int
) -> tuple[Application, str]:
    """Make an application with its first access token, which is shown once and never again."""
    account = require_account(connection, account_id)
    application = Application(
        id=ids.new_app_id(), account_id=account.id, name=name, created_us=now_us
    )
    accounts.insert_application(connection, application)
    token = ids.new_access_token()
    accounts.insert_token(
        connection,
        lookup=key.lookup(token),
        app_id=application.id,
        sealed=key.seal(token, application.id),
        key_id=key.key_id,
        created_us=now_us,
        expires_us=None,
    )
    return application, token


def add_number(
    connection: Connection, *, number: str, app_id: str, notify_url: str | None, now_us: int
) -> Number:
    """Make a number that can be called; its calls are told to `notify_url`."""
    normal = e164.normalise(number)
    if normal is None:
        raise ValueError(f"{number} is not a phone number: write it with country code, +6531580000")
    if accounts.find_application(connection, app_id) is None:
        raise ValueError(f"There is no application {app_id}: see `voiceblocks app list`")
    if accounts.find_number(connection, normal) is not None:
        raise ValueError(f"{normal} exists already: see `voiceblocks number list`")
    if notify_url:
        require_deliverable(notify_url)
    entry = Number(
        number=normal,
        app_id=ids.AppId(app_id),
        notify_url=notify_url or None,
        created_us=now_us,
    )
    accounts.insert_number(connection, entry)
    return entry


def require_deliverable(notify_url: str) -> None:
    """Refuse what cannot be notified; as strict as the API."""
    if len(notify_url) > NOTIFY_URL_MAX or split_web_url(notify_url) is None:
        raise ValueError(
            f"{notify_url} cannot be notified: give an http or https URL without "
            f"user and password, of at most {NOTIFY_URL_MAX} characters"
        )


def require_account(connection: Connection, account_id: str) -> Account:
    """Return the account; a sentence where there is none."""
    account = accounts.find_account(connection, account_id)
    if account is None:
        raise no_account(account_id)
    return account


def no_account(account_id: str) -> ValueError:
    """What is said of an account that does not exist."""
    return ValueError(f"There is no account {account_id}: see `voiceblocks account list`")
