"""Double entry: which books there are, and the entries of each business event.

An account has two books. Points were paid for; bonus was given, and is used up first. What
they hold together is its credit. The operator's books stand on the other side of each entry.

| Event | From | To |
|---|---|---|
| opening, top-up | `operator/opening`, `operator/top_up` | `ACCOUNT/points` |
| bonus | `operator/bonus` | `ACCOUNT/bonus` |
| call, number | `ACCOUNT/bonus`, then `ACCOUNT/points` | `operator/call`, `operator/number` |
| adjustment | whichever way | |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voiceblocks.billing.model import EntryKind, LedgerEntry
from voiceblocks.ids import AccountId
from voiceblocks.money import Thousandths


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """What an account has, as far as an entry needs to know."""

    account_id: AccountId
    currency: str
    bonus: Thousandths


@dataclass(frozen=True, slots=True)
class Balances:
    """What an account's two books hold."""

    points: Thousandths
    bonus: Thousandths


def points_book(account_id: str) -> str:
    """The book of what an account paid."""
    return f"{account_id}/points"


def bonus_book(account_id: str) -> str:
    """The book of what an account was given."""
    return f"{account_id}/bonus"


def operator_book(kind: EntryKind) -> str:
    """The operator's book for one kind of entry."""
    return f"operator/{kind.value}"


def payment(
    purse: Purse,
    amount: Thousandths,
    *,
    transaction_id: str,
    kind: EntryKind,
    note: str,
    at_us: int,
) -> list[LedgerEntry]:
    """Return the entries by which an account pays `amount` (0 or more): its bonus first."""
    from_bonus = min(amount, max(Thousandths(0), purse.bonus))
    parts = (
        (bonus_book(purse.account_id), from_bonus),
        (points_book(purse.account_id), amount - from_bonus),
    )
    moves = [(book, operator_book(kind), part) for book, part in parts if part]
    return _entries(purse, moves, transaction_id, kind, note, at_us)


def income(
    purse: Purse,
    amount: Thousandths,
    *,
    transaction_id: str,
    kind: EntryKind,
    note: str,
    at_us: int,
) -> list[LedgerEntry]:
    """Return the entries by which an account gets `amount` (0 or more)."""
    book = bonus_book if kind is EntryKind.BONUS else points_book
    moves = [(operator_book(kind), book(purse.account_id), int(amount))] if amount else []
    return _entries(purse, moves, transaction_id, kind, note, at_us)


def balances_after(account_id: str, entries: Iterable[LedgerEntry]) -> Balances:
    """Return what the books of an account hold after these entries."""
    held = {points_book(account_id): 0, bonus_book(account_id): 0}
    for entry in entries:
        if entry.from_book in held:
            held[entry.from_book] -= entry.amount
        if entry.to_book in held:
            held[entry.to_book] += entry.amount
    points, bonus = held.values()
    return Balances(Thousandths(points), Thousandths(bonus))


def _entries(
    purse: Purse,
    moves: list[tuple[str, str, int]],
    transaction_id: str,
    kind: EntryKind,
    note: str,
    at_us: int,
) -> list[LedgerEntry]:
    return [
        LedgerEntry(
            id=f"{transaction_id}/{number}",
            transaction_id=transaction_id,
            kind=kind,
            account_id=purse.account_id,
            from_book=source,
            to_book=target,
            amount=Thousandths(amount),
            currency=purse.currency,
            note=note,
            created_us=at_us,
        )
        for number, (source, target, amount) in enumerate(moves, start=1)
    ]
