"""How long a call was, in the minutes that are paid for."""

from __future__ import annotations

_MINUTE_US = 60_000_000


def billed_minutes(answered_us: int | None, ended_us: int) -> int:
    """
    Return started minutes from answer to end, both UTC microseconds.

    Returns:
        0 for a call that was never answered, or whose clock went backwards.
    """
    if answered_us is None:
        return 0
    return -(-max(0, ended_us - answered_us) // _MINUTE_US)
