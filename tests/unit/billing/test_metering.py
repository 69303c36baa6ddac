"""How far money reaches, and what is charged for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.billing.metering import MeteredLeg, held_by, is_free, paid_until, started_blocks
from voiceblocks.billing.model import Price
from voiceblocks.money import Thousandths

SECOND_US = 1_000_000
MINUTE = Price(Thousandths(40))
FREE = Price(Thousandths(0))
RINGS = MeteredLeg(MINUTE, None, None)
UP = MeteredLeg(MINUTE, 0, None)
LATER = MeteredLeg(MINUTE, 10 * SECOND_US, None)


@pytest.mark.parametrize(
    ("answered", "until", "block_s", "blocks"),
    [
        (None, 99, 60, 0),
        (0, 0, 60, 0),
        (0, 1, 60, 1),
        (0, 60 * SECOND_US, 60, 1),
        (0, 60 * SECOND_US + 1, 60, 2),
        (5, 4, 60, 0),
        (0, 6 * SECOND_US + 1, 6, 2),
    ],
)
def test_started_blocks(answered: int | None, until: int, block_s: int, blocks: int) -> None:
    """A block is billed as a whole once it has begun."""
    assert started_blocks(answered, until, block_s) == blocks


@pytest.mark.parametrize(
    ("legs", "money", "until_s"),
    [
        ([UP], 39, None),
        ([UP], 40, 60),
        ([UP], 79, 60),
        ([UP], 80, 120),
        ([UP, RINGS], 79, None),
        ([UP, RINGS], 80, 60),
        # The second leg's next block begins at 70 s.
        ([UP, LATER], 80, 60),
        ([UP, LATER], 120, 70),
        ([UP, LATER], 160, 120),
        ([MeteredLeg(FREE, 0, None)], 0, None),
        ([RINGS], 1000, None),
    ],
)
def test_how_far_money_reaches(legs: list[MeteredLeg], money: int, until_s: int | None) -> None:
    """By hand: each leg's blocks begin at its own answer."""
    found = paid_until(legs, 10 * SECOND_US, Thousandths(money), at_most_us=120 * SECOND_US)
    assert found == (None if until_s is None else until_s * SECOND_US)


def test_what_is_free() -> None:
    """A leg that rings, or has ended, makes no time dear."""
    assert is_free([RINGS, MeteredLeg(FREE, 0, None), MeteredLeg(MINUTE, 0, 5)])
    assert not is_free([MeteredLeg(FREE, 0, None), UP])


TIMES = st.integers(0, 400).map(lambda seconds: seconds * SECOND_US)
LEGS = st.builds(
    MeteredLeg,
    st.builds(Price, st.integers(0, 100).map(Thousandths), st.sampled_from([1, 6, 60])),
    st.none() | TIMES,
    st.none(),
)


@given(st.lists(LEGS, min_size=1, max_size=4), TIMES, st.integers(0, 2000), TIMES)
def test_what_is_paid_for_is_never_dearer_than_the_money(
    legs: list[MeteredLeg], now_us: int, money: int, more_us: int
) -> None:
    """Until it is used up the legs cost no more than is held; a moment later they do."""
    at_most_us = now_us + more_us
    until_us = paid_until(legs, now_us, Thousandths(money), at_most_us=at_most_us)
    if until_us is None:
        return
    assert until_us > now_us
    held = held_by(legs, until_us)
    assert held <= money
    assert sum(leg.cost_by(until_us) for leg in legs) <= held
    if until_us < at_most_us:
        assert held_by(legs, until_us + 1) > money
