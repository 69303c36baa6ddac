"""The meter's timers: when the hold of a call is renewed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workflows.billed_calls import SECOND_US, StoppedClock
from voiceblocks.workflows.hold_credit import Hold
from voiceblocks.workflows.meter_calls import LEAD_US, SPREAD_US, MeterCalls

CALLS = 1000


class Struck(MeterCalls):
    """A meter that tells when it would strike, and asks no database."""

    def __init__(self, clock: StoppedClock) -> None:
        nothing: Any = None
        super().__init__(database=nothing, end_call=lambda _session: None, clock=clock)
        self.delays_s: list[float] = []

    def _strike_in(self, session_id: str, delay_s: float) -> None:
        self.delays_s.append(delay_s)


@pytest.mark.parametrize("costs", [True, False])
def test_calls_that_began_together_are_not_renewed_together(costs: bool) -> None:
    """A thousand of one instant: no second gets a crowd, and none is later than it must be."""
    clock = StoppedClock()
    meter = Struck(clock)
    paid_us = clock.now_us + 60 * SECOND_US if costs else None
    for number in range(CALLS):
        meter.follow(f"S-{number}", Hold(paid_us))
    latest_s = (60 * SECOND_US - (LEAD_US if costs else 0)) / SECOND_US
    assert max(meter.delays_s) <= latest_s
    assert min(meter.delays_s) >= latest_s - SPREAD_US / SECOND_US
    seconds = [int(delay) for delay in meter.delays_s]
    assert max(seconds.count(second) for second in set(seconds)) < CALLS / 5


@pytest.mark.parametrize("left_s", [0.0, 0.5, 1.9, 2.1, 3.0, 10.0])
def test_a_hold_is_looked_at_before_it_is_used_up(left_s: float) -> None:
    """Early while there is time, at its very end where there is none: never after it."""
    clock = StoppedClock()
    meter = Struck(clock)
    for number in range(100):
        meter.follow(f"S-{number}", Hold(clock.now_us + round(left_s * SECOND_US)))
    assert all(0 <= delay <= left_s for delay in meter.delays_s)
    if left_s > LEAD_US / SECOND_US:
        assert max(meter.delays_s) <= left_s - LEAD_US / SECOND_US
    else:
        assert set(meter.delays_s) == {left_s}


def test_what_is_used_up_ends_at_once() -> None:
    """There is nothing to wait for."""
    meter = Struck(StoppedClock())
    meter.follow("S-1", Hold(None, is_used_up=True))
    assert meter.delays_s == [0.0]
