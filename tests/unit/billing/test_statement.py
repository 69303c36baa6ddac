"""A month's statement: what it says adds up, whatever happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.billing.ledger import Purse, income, payment
from voiceblocks.billing.model import EntryKind
from voiceblocks.billing.statement import month_of, statement_of
from voiceblocks.ids import AccountId
from voiceblocks.money import Thousandths

ACCOUNT = AccountId("acc_1")


def test_a_month_begins_in_gmt_plus_8() -> None:
    """November 2026 there begins at 16:00 UTC on 31 October, and December follows it at once."""
    november, december = month_of("2026-11"), month_of("2026-12")
    assert november.from_us == 1_793_462_400_000_000
    assert november.to_us == december.from_us
    assert december.to_us == month_of("2027-01").from_us


@pytest.mark.parametrize("text", ["2026", "2026-13", "11-2026", "now", "", "0001-01", "9999-12"])
def test_what_is_no_month_is_said(text: str) -> None:
    """The sentence shows how to write one."""
    with pytest.raises(ValueError, match="write 2026-11"):
        month_of(text)


@given(
    opening=st.integers(0, 10**6),
    events=st.lists(
        st.tuples(
            st.sampled_from([EntryKind.TOP_UP, EntryKind.BONUS, EntryKind.CALL, EntryKind.NUMBER]),
            st.integers(1, 10**5),
            st.integers(0, 10**5),
        ),
        max_size=20,
    ),
)
def test_opening_and_lines_make_closing(
    opening: int, events: list[tuple[EntryKind, int, int]]
) -> None:
    """Each event is counted once, however many books it touches; nothing is lost or made."""
    entries = []
    expected = opening
    for number, (kind, amount, bonus) in enumerate(events):
        comes = kind in {EntryKind.TOP_UP, EntryKind.BONUS}
        entries += (income if comes else payment)(
            Purse(account_id=ACCOUNT, currency="SGD", bonus=Thousandths(bonus)),
            Thousandths(amount),
            transaction_id=f"t{number}",
            kind=kind,
            note="",
            at_us=number,
        )
        expected += amount if comes else -amount
    made = statement_of(ACCOUNT, month_of("2026-11"), opening, entries)
    assert made.closing == expected
    assert made.opening + sum(line.amount for line in made.lines) == made.closing
    assert sum(line.count for line in made.lines) == len(events)
