"""Prices, what was charged, and the entries of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voiceblocks.ids import AccountId, SessionId
from voiceblocks.money import Thousandths

BLOCK_S = 60
"Length of a billing block where a tariff says nothing else."


@dataclass(frozen=True, slots=True)
class Price:
    """What a leg costs: so much a minute, counted in whole blocks."""

    rate: Thousandths
    "Of a minute, also where blocks are shorter or longer."
    block_s: int = BLOCK_S

    def cost_of(self, blocks: int) -> Thousandths:
        """What so many blocks cost together, rounded up to a thousandth."""
        return Thousandths(-(-self.rate * blocks * self.block_s // 60))


@dataclass(frozen=True, slots=True)
class Tariff:
    """The price of calls to or from the numbers that begin with `prefix`."""

    direction: str
    '`"inbound"` or `"outbound"`.'
    prefix: str
    'E.g. `"+65"`; empty for all numbers.'
    currency: str
    rate: Thousandths
    "Of a minute."
    block_s: int = BLOCK_S
    "Length of the blocks in which it is billed, each one as a whole: 1 to 3600."

    @property
    def price(self) -> Price:
        """What a leg costs by it."""
        return Price(self.rate, self.block_s)


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


class EntryKind(StrEnum):
    """Why money moved; the values are stored."""

    OPENING = "opening"
    "The credit of an account from before there was a ledger."
    TOP_UP = "top_up"
    BONUS = "bonus"
    ADJUSTMENT = "adjustment"
    "Taken away, or given back, by the operator."
    CALL = "call"
    NUMBER = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """An amount that moves from one book to another; never changed, never deleted."""

    id: str
    "`TRANSACTION/N`."
    transaction_id: str
    "The entries of one business event, such as a charge, which is entered once."
    kind: EntryKind
    account_id: AccountId
    from_book: str
    "`ACCOUNT/points`, `ACCOUNT/bonus`, or one of the operator's, such as `operator/call`."
    to_book: str
    amount: Thousandths
    "Above zero."
    currency: str
    note: str
    "For people: a session, a number, or what the operator said."
    created_us: int
