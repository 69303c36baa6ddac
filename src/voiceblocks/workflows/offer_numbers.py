"""Numbers that an application has or may have: `number/…`.

The operator's stock is one for all accounts; what is subscribed is the application's until it
expires (`keep_numbers`). Numbers that the operator gave it (`voiceblocks number add`) stand
beside those, and expire never.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import phonenumbers
from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.accounts.model import Account, Application, Number
from voiceblocks.billing.model import EntryKind
from voiceblocks.blocks.get_choices import CHOICES_A_PAGE, GetChoicesCommand
from voiceblocks.blocks.get_rates import GetRatesCommand
from voiceblocks.blocks.subscribe import SubscribeCommand
from voiceblocks.blocks.update_forwarding import UpdateForwardingCommand
from voiceblocks.clock import Clock
from voiceblocks.database import accounts, number_stock
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import ContractViolation, InvalidRequest
from voiceblocks.log import get_logger
from voiceblocks.money import Thousandths, format_amount
from voiceblocks.workflows.keep_books import available, pay
from voiceblocks.workflows.prepare_request import RequestPreparer
from voiceblocks.workflows.query_account import account_of

_log = get_logger("numbers")

CAPABILITIES = ("VOICE",)
NEVER = "9999-12-31"
"Clients read a date unasked; of a number that does not expire it is far away."
_GMT_PLUS_8 = timezone(timedelta(hours=8))
_FORWARD_STATUSES = {
    "error_invalid_notify_url": "error_forward_to_invalid",
    "error_unable_to_resolve_notify_url": "error_unable_to_resolve_forward_to",
}


class OfferNumbers:
    """
    Fulfils what the HTTP front needs of numbers.

    Args:
        database: The node's database.
        requests: Looks at the URL that a number's calls are to be told to.
        clock: For what expires.
        max_numbers: What an account may subscribe where it has no figure of its own.
    """

    def __init__(
        self, *, database: Database, requests: RequestPreparer, clock: Clock, max_numbers: int
    ) -> None:
        self._database = database
        self._requests = requests
        self._clock = clock
        self._max_numbers = max_numbers

    async def get_active(self, app: Application) -> dict[str, Any]:
        """List the application's numbers."""
        entries = await self._database.read(lambda connection: _active(connection, app))
        return {
            "total_entries_count": str(len(entries)),
            "entries_count": str(len(entries)),
            "entries": entries,
        }

    async def get_countries(self, app: Application) -> dict[str, Any]:
        """List where numbers are free, whoever asks."""
        del app
        now_us = self._clock.utc_us()
        places = await self._database.read(
            lambda connection: number_stock.places(connection, now_us)
        )
        entries: dict[str, dict[str, Any]] = {}
        for country, state, name, state_name in places:
            entry = entries.setdefault(
                country,
                {
                    "code": country,
                    "name": name,
                    "prefix": str(phonenumbers.country_code_for_region(country)),
                    "states": [],
                    "capability": list(CAPABILITIES),
                },
            )
            if state:
                entry["states"].append(
                    {"code": state, "name": state_name, "capability": list(CAPABILITIES)}
                )
        return {"entries_count": str(len(entries)), "entries": list(entries.values())}

    async def get_choices(self, app: Application, command: GetChoicesCommand) -> dict[str, Any]:
        """List a page of free numbers; none beyond the last page."""
        del app
        now_us = self._clock.utc_us()
        total, found = await self._database.read(
            lambda connection: number_stock.page(
                connection,
                command.country,
                command.state,
                now_us,
                skip=(command.page - 1) * CHOICES_A_PAGE,
                limit=CHOICES_A_PAGE,
            )
        )
        return {
            "total_entries_count": str(total),
            "entries_count": str(len(found)),
            "entries": [{"number": one.number, "capability": list(CAPABILITIES)} for one in found],
        }

    async def get_rates(self, app: Application, command: GetRatesCommand) -> dict[str, Any]:
        """List what a country's numbers cost in the account's currency."""

        def look(connection: Connection) -> tuple[str, dict[int, Thousandths]]:
            currency = account_of(connection, app).currency
            return currency, number_stock.rates_of(connection, command.country, currency)

        currency, rates = await self._database.read(look)
        return {
            "currency": currency,
            "entries_count": str(len(rates)),
            "entries": [
                {"duration": str(months), "rate": format_amount(rate)}
                for months, rate in rates.items()
            ],
        }

    async def subscribe(self, app: Application, command: SubscribeCommand) -> dict[str, Any]:
        """
        Make a free number the application's, and pay for it.

        Raises:
            InvalidRequest: With the documented status; nothing is paid then.
        """
        now_us = self._clock.utc_us()
        return await self._database.run(
            lambda connection: _subscribe(connection, app, command, now_us, self._max_numbers)
        )

    async def update_forwarding(
        self, app: Application, command: UpdateForwardingCommand
    ) -> dict[str, Any]:
        """
        Change where a number's calls are told.

        Raises:
            InvalidRequest: If it is not the application's number, or the URL is no good.
        """
        url = command.forward_to
        try:
            await self._requests.prepare(app.account_id, (), (url,))
        except InvalidRequest as refusal:
            status = _FORWARD_STATUSES.get(refusal.status, refusal.status)
            raise InvalidRequest(status) from None

        def change(connection: Connection) -> None:
            number = accounts.find_number_for_update(connection, command.number)
            if number is None or number.app_id != app.id:
                raise InvalidRequest("error_number_not_assigned")
            if url is not None:
                accounts.update_number(connection, number.number, notify_url=url)

        await self._database.run(change)
        return {}


def months_later(at_us: int, months: int, *, since_us: int | None = None) -> int:
    """
    Return the same time of day so many months later (GMT+8), on the month's last day at most.

    Args:
        at_us: From when.
        months: How many.
        since_us: The day of whose month it is, where that is later than that of `at_us`: what was
            begun on a 31st ends on the 28th of February, and on the 31st of March again.
    """
    at = _there(at_us)
    year, month = divmod(at.month - 1 + months, 12)
    year, month = at.year + year, month + 1
    wanted = at.day if since_us is None else max(at.day, _there(since_us).day)
    day = min(wanted, monthrange(year, month)[1])
    later = at.replace(year=year, month=month, day=day)
    return int(later.timestamp()) * 1_000_000 + at_us % 1_000_000


def pay_for_number(
    connection: Connection,
    account: Account,
    number: str,
    rate: Thousandths,
    *,
    until_us: int,
    now_us: int,
) -> bool:
    """Pay until `until_us`, once; False where the account (locked) has not so much."""
    if available(connection, account) < rate:
        return False
    pay(
        connection,
        account.id,
        rate,
        transaction_id=f"num_{number}_{until_us}",
        kind=EntryKind.NUMBER,
        note=number,
        at_us=now_us,
    )
    return True


def _subscribe(
    connection: Connection,
    app: Application,
    command: SubscribeCommand,
    now_us: int,
    max_numbers: int,
) -> dict[str, Any]:
    account = accounts.find_account_for_update(connection, app.account_id)
    if account is None:
        raise ContractViolation(f"application {app.id} has no account")
    if account.is_trial:
        raise InvalidRequest("error_not_allowed_for_trial")
    offered = number_stock.find_free(connection, command.number, now_us)
    if offered is None:
        raise InvalidRequest("error_number_not_available")
    rate = number_stock.rates_of(connection, offered.country, account.currency).get(command.months)
    if rate is None:
        raise InvalidRequest("error_invalid_duration")
    limit = max_numbers if account.max_numbers is None else account.max_numbers
    if accounts.count_subscribed(connection, account.id) >= limit:
        raise InvalidRequest("error_exceed_max_subscriptions")
    until_us = months_later(now_us, command.months)
    number = Number(
        number=offered.number,
        app_id=app.id,
        expires_us=until_us,
        auto_extend=command.auto_extend,
        months=command.months,
        created_us=now_us,
    )
    if not accounts.insert_number_once(connection, number):
        raise InvalidRequest("error_number_not_available")
    if not pay_for_number(
        connection, account, number.number, rate, until_us=until_us, now_us=now_us
    ):
        raise InvalidRequest("error_insufficient_credit")
    _log.info(
        "number_subscribed", account=account.id, app=app.id, number=e164.masked(number.number)
    )
    return {
        "currency": account.currency,
        "debit": format_amount(rate),
        "expiry": _date(until_us),
    }


def _active(connection: Connection, app: Application) -> list[dict[str, Any]]:
    return [
        _entry(connection, number) for number in accounts.list_numbers(connection, app_id=app.id)
    ]


def _entry(connection: Connection, number: Number) -> dict[str, Any]:
    """Every field: the official Java client cannot do without any of them."""
    stock = number_stock.find(connection, number.number)
    country = e164.country_of(number.number) if stock is None else stock.country
    return {
        "number": number.number,
        "forward_to": number.notify_url or "",
        "forward_sms_to": "",
        "mode": "voice",
        "expiry": NEVER if number.expires_us is None else _date(number.expires_us),
        "auto_extend_status": "enabled" if number.auto_extend else "disabled",
        "country": country or "",
        "state": "" if stock is None else stock.state,
        "capabilities": list(CAPABILITIES),
    }


def _date(at_us: int) -> str:
    return _there(at_us).strftime("%Y-%m-%d")


def _there(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).astimezone(_GMT_PLUS_8)
