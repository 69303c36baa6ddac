"""What a network does to packets, by pattern and never by unseeded chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Impairments:
    """
    How the phone mistreats the RTP that it sends.

    Patterns repeat: `lose=[False] * 19 + [True]` loses one packet in twenty.
    """

    lose: Sequence[bool] = ()
    "Which packets are never sent."
    hold_back: Sequence[bool] = ()
    "Which packets leave only after their successor (reordering)."
    double: Sequence[bool] = ()
    "Which packets are sent twice."
    suppress_silence: bool = False
    "Send nothing while there is nothing to say; the timestamp goes on."
    first_sequence: int = 1000
    "65,500 makes the sequence number wrap after 36 packets."
    first_timestamp: int = 160_000

    def loses(self, index: int) -> bool:
        """Whether packet `index` is lost."""
        return _at(self.lose, index)

    def holds_back(self, index: int) -> bool:
        """Whether packet `index` is swapped with the next."""
        return _at(self.hold_back, index)

    def doubles(self, index: int) -> bool:
        """Whether packet `index` is sent twice."""
        return _at(self.double, index)


def _at(pattern: Sequence[bool], index: int) -> bool:
    return bool(pattern) and pattern[index % len(pattern)]
