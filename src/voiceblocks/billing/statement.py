"""A month of an account: what it had, what came and went, what was left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from voiceblocks.billing.ledger import bonus_book, points_book
from voiceblocks.billing.model import EntryKind, LedgerEntry
from voiceblocks.money import Thousandths

# The original's day: what customers see elsewhere is in it, too.
_GMT_PLUS_8 = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in GMT+8, as UTC microseconds."""

    name: str
    "`2026-11`."
    from_us: int
    to_us: int
    "First microsecond after it."


@dataclass(frozen=True, slots=True)
class StatementLine:
    """All entries of one kind."""

    kind: EntryKind
    count: int
    amount: Thousandths
    "What the account gained; negative for what it paid."


@dataclass(frozen=True, slots=True)
class Statement:
    """What it says adds up: `opening` and the lines make `closing`."""

    month: Month
    opening: Thousandths
    lines: tuple[StatementLine, ...]
    closing: Thousandths


def month_of(text: str) -> Month:
    """
    Read `YYYY-MM`.

    Raises:
        ValueError: With a sentence.
    """
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=_GMT_PLUS_8)
        following = (first + timedelta(days=32)).replace(day=1)
        return Month(text, _microseconds(first), _microseconds(following))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text} is not a month: write 2026-11") from error


def statement_of(
    account_id: str, month: Month, opening: int, entries: Iterable[LedgerEntry]
) -> Statement:
    """
    Return the statement.

    Args:
        account_id: Whose.
        month: Which.
        opening: What the account had before it.
        entries: All of the account's within it.
    """
    counts: dict[EntryKind, set[str]] = {}
    amounts: dict[EntryKind, int] = {}
    for entry in entries:
        # A payment that takes the rest of a bonus and then points is one event of two entries.
        counts.setdefault(entry.kind, set()).add(entry.transaction_id)
        amounts[entry.kind] = amounts.get(entry.kind, 0) + gained(account_id, entry)
    lines = tuple(
        StatementLine(kind, len(counts[kind]), Thousandths(amounts[kind]))
        for kind in EntryKind
        if kind in counts
    )
    closing = opening + sum(amounts.values())
    return Statement(month, Thousandths(opening), lines, Thousandths(closing))


def gained(account_id: str, entry: LedgerEntry) -> int:
    """What an entry added to the account's books; negative where it took."""
    own = {points_book(account_id), bonus_book(account_id)}
    return entry.amount * ((entry.to_book in own) - (entry.from_book in own))


def _microseconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp()) * 1_000_000
