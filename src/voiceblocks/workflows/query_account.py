"""What an application asks about its account: `user/get_balance`, `user/get_info`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import phonenumbers
from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.accounts.model import Account, Application
from voiceblocks.database import accounts
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import ContractViolation
from voiceblocks.money import Thousandths, format_amount

_PRIVATE = "p"
"How the original's list of caller ids writes it."
TIME_ZONE = "GMT+0800SG"
"Every time of this API is in it, as in the original."
_COUNTRIES: Mapping[str, str] = MappingProxyType(
    {
        "SGD": "SG",
        "HKD": "HK",
        "USD": "US",
        "AUD": "AU",
        "MYR": "MY",
        "TWD": "TW",
        "GBP": "GB",
        "JPY": "JP",
    }
)
"Where an account is, if nothing else says so; the euro is of no one country."


class QueryAccount:
    """
    Fulfils what the HTTP front needs to tell about accounts.

    Args:
        database: The node's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_balance(self, app: Application) -> dict[str, Any]:
        """Tell what the account has; what live calls hold is still its own."""
        account = await self._database.read(lambda connection: account_of(connection, app))
        return {
            "currency": account.currency,
            "balance": format_amount(account.credit),
            "points": format_amount(Thousandths(account.credit - account.bonus)),
            "bonus": format_amount(account.bonus),
        }

    async def get_info(self, app: Application) -> dict[str, Any]:
        """Tell who the account is, and which numbers its calls may show."""
        return await self._database.read(lambda connection: _info(connection, app))


def account_of(connection: Connection, app: Application) -> Account:
    """Return the account of an application."""
    account = accounts.find_account(connection, app.account_id)
    if account is None:
        raise ContractViolation(f"application {app.id} has no account")
    return account


def _info(connection: Connection, app: Application) -> dict[str, Any]:
    account = account_of(connection, app)
    numbers = [number.number for number in accounts.list_numbers_of_account(connection, account.id)]
    registered = account.registered_number
    shown = dict.fromkeys([*([] if registered is None else [registered]), *numbers, _PRIVATE])
    country = _country_of(account)
    code = phonenumbers.country_code_for_region(country) if country else 0
    info = {
        "uid": account.id,
        "name": account.name,
        "mobile_number": registered or "",
        "caller_ids": list(shown),
        "country": country,
        "prefix": f"+{code}" if code else "",
        "currency": account.currency,
        "time_zone": TIME_ZONE,
        "user_status": "trial" if account.is_trial else "active",
        "sms_rebrand_status": "disabled",
        "call_rebrand_status": "enabled",
    }
    return info if account.email is None else {**info, "email": account.email}


def _country_of(account: Account) -> str:
    if account.country is not None:
        return account.country
    number = account.registered_number
    found = None if number is None else e164.country_of(number)
    return found or _COUNTRIES.get(account.currency, "")
