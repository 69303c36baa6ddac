"""Prices and what was charged."""

from __future__ import annotations

from dataclasses import dataclass

from voiceblocks.ids import AccountId, SessionId
from voiceblocks.money import Thousandths


@dataclass(frozen=True, slots=True)
class Tariff:
    """The price of a started minute to or from the numbers that begin with `prefix`."""

    direction: str
    '`"inbound"` or `"outbound"`.'
    prefix: str
    'E.g. `"+65"`; empty for all numbers.'
    currency: str
    rate: Thousandths


@dataclass(frozen=True, slots=True)
class Charge:
    """What one leg cost; there is at most one with the same id."""

    id: str
    "Names the leg that is billed, so that billing it again changes nothing."
    session_id: SessionId
    account_id: AccountId
    amount: Thousandths
    currency: str
    created_us: int
