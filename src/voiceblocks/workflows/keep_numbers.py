"""Subscribed numbers expire, or are paid for again: a job that looks each minute."""

from __future__ import annotations

import asyncio
from functools import partial

from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.accounts.model import Number
from voiceblocks.clock import Clock
from voiceblocks.database import accounts, number_stock
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger
from voiceblocks.money import Thousandths
from voiceblocks.workflows.offer_numbers import months_later, pay_for_number

_log = get_logger("numbers")

PERIOD_S = 60.0
REST_US = 30 * 24 * 3600 * 1_000_000
"How long an expired number is nobody's, so that no stranger gets the calls of who had it."


class KeepNumbers:
    """
    Extends or ends what has expired.

    Args:
        database: The node's database; other nodes may look at the same numbers.
        clock: What time it is.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 (a database that is away comes back)
                _log.exception("numbers_not_looked_at")
            await asyncio.sleep(PERIOD_S)

    async def look(self) -> None:
        """Settle every number that has expired by now, each in its own transaction."""
        now_us = self._clock.utc_us()
        due = await self._database.read(lambda c: accounts.due_numbers(c, now_us))
        for number, account_id in due:
            settle = partial(_settle, name=number.number, account_id=account_id, now_us=now_us)
            await self._database.run(settle)


def _settle(connection: Connection, name: str, account_id: str, now_us: int) -> None:
    """Extend until it lasts again, as far as there is credit; else it is over."""
    account = accounts.find_account_for_update(connection, account_id)
    number = accounts.find_number_for_update(connection, name)
    # Another node may have been first.
    while number is not None and number.expires_us is not None and number.expires_us <= now_us:
        until_us = _next_end_us(number)
        rate = _rate(connection, number, None if account is None else account.currency)
        if (
            account is None
            or rate is None
            or not number.auto_extend
            or not pay_for_number(connection, account, name, rate, until_us=until_us, now_us=now_us)
        ):
            accounts.delete_number(connection, name)
            number_stock.rest(connection, name, number.expires_us + REST_US)
            _log.warning("number_expired", number=e164.masked(name), account=account_id)
            return
        accounts.update_number(connection, name, expires_us=until_us)
        _log.info("number_extended", number=e164.masked(name), account=account_id)
        account = accounts.find_account_for_update(connection, account_id)
        number = accounts.find_number_for_update(connection, name)


def _next_end_us(number: Number) -> int:
    # A term that ended early in a short month does not make all that follow end as early.
    return months_later(number.expires_us or 0, number.months or 1, since_us=number.created_us)


def _rate(connection: Connection, number: Number, currency: str | None) -> Thousandths | None:
    """What it costs now; a number that is let no more, or not so, is not extended."""
    stock = number_stock.find(connection, number.number)
    if stock is None or currency is None or number.months is None:
        return None
    return number_stock.rates_of(connection, stock.country, currency).get(number.months)
