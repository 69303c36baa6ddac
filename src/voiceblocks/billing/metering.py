"""How much of a call is paid for: what its legs cost by a time, and how far money reaches.

A leg is billed from its answer to its end in blocks, each one as a whole. Money for a block
is held before it begins, so what a call may cost never exceeds what was held for it:

```
leg 1   |--- block ---|--- block ---|--- block
leg 2          |--- block ---|--- block ---|
                      ^ paid until: the first block that nothing is held for begins here
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voiceblocks.billing.model import Price
from voiceblocks.money import Thousandths


@dataclass(frozen=True, slots=True)
class MeteredLeg:
    """One leg as far as it matters for its price; times are UTC microseconds."""

    price: Price
    answered_us: int | None
    ended_us: int | None

    def cost_by(self, at_us: int) -> Thousandths:
        """What it costs if it ends at `at_us`, or has ended before: what it is charged."""
        until_us = at_us if self.ended_us is None else min(at_us, self.ended_us)
        return self.price.cost_of(started_blocks(self.answered_us, until_us, self.price.block_s))

    def held_by(self, at_us: int) -> Thousandths:
        """What must be held for it until `at_us`: a block at least while it may be answered."""
        if self.ended_us is not None:
            return self.cost_by(at_us)
        return max(self.cost_by(at_us), self.price.cost_of(1))

    def next_block_us(self, after_us: int) -> int | None:
        """When the first block after `after_us` begins; `None` if none does that costs money."""
        if self.answered_us is None or self.ended_us is not None or not self.price.rate:
            return None
        length_us = self.price.block_s * 1_000_000
        blocks = max(0, after_us - self.answered_us) // length_us + 1
        return self.answered_us + blocks * length_us


def started_blocks(answered_us: int | None, until_us: int, block_s: int) -> int:
    """Return the blocks that began between answer and `until_us`; 0 without an answer."""
    if answered_us is None:
        return 0
    return -(-max(0, until_us - answered_us) // (block_s * 1_000_000))


def held_by(legs: Sequence[MeteredLeg], at_us: int) -> Thousandths:
    """Return what must be held for all legs until `at_us`."""
    return Thousandths(sum(leg.held_by(at_us) for leg in legs))


def is_free(legs: Sequence[MeteredLeg]) -> bool:
    """Whether no leg that is up costs anything: then no time is too late."""
    return all(leg.next_block_us(0) is None for leg in legs)


def paid_until(
    legs: Sequence[MeteredLeg], now_us: int, money: Thousandths, *, at_most_us: int
) -> int | None:
    """
    Return how far `money` reaches: the last begin of a block up to which it pays for all legs.

    It stops at the first one that is not before `at_most_us`.

    Returns:
        `None` where the money does not reach beyond `now_us`, or no leg costs anything.
    """
    paid_us = None
    until_us = now_us
    while until_us < at_most_us:
        begins = [at_us for leg in legs if (at_us := leg.next_block_us(until_us)) is not None]
        if not begins:
            return paid_us
        until_us = min(begins)
        if held_by(legs, until_us) > money:
            return paid_us
        paid_us = until_us
    return paid_us
