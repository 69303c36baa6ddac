"""The meter: each answered call's hold is renewed in time, or the call ends with it.

One timer a call. It strikes a little before the hold is used up; where the account has no
more then, it strikes once more at the end, for a top-up may have come, and then ends the call.
Calls that cost nothing are looked at as well, so that it is known how long they lived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voiceblocks import randomness
from voiceblocks.clock import Clock
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import ContractViolation
from voiceblocks.log import get_logger
from voiceblocks.workflows.hold_credit import STEP_US, Hold, renew_or_end

_log = get_logger("billing")

LEAD_US = 2_000_000
"How long before its end a hold is renewed: several times what a busy database takes."
SPREAD_US = 10_000_000
"""By how much chance lets it be earlier than that, so that calls that began together are not all
looked at together for as long as they last."""
AGAIN_S = 1.0
"Until the database is asked again where it was not there."


class MeterCalls:
    """
    Follows the calls of this node.

    Args:
        database: The node's database.
        end_call: Ends a call whose credit is used up, by its session.
        clock: For the time that is billed.
    """

    def __init__(
        self, *, database: Database, end_call: Callable[[str], object], clock: Clock
    ) -> None:
        self._database = database
        self._end_call = end_call
        self._clock = clock
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ticks: set[asyncio.Task[None]] = set()

    def follow(self, session_id: str, hold: Hold | None) -> None:
        """The call is paid so far from now on; `None`: it has ended."""
        self.forget(session_id)
        if hold is None:
            return
        now_us = self._clock.utc_us()
        paid_us = hold.paid_until_us
        if hold.is_used_up:
            due_us = now_us
        elif paid_us is None:
            due_us = _some_time_before(now_us + STEP_US, now_us)
        elif now_us < paid_us - LEAD_US:
            due_us = _some_time_before(paid_us - LEAD_US, now_us)
        else:
            due_us = paid_us
        self._strike_in(session_id, max(0, due_us - now_us) / 1e6)

    def forget(self, session_id: str) -> None:
        """The call is over."""
        timer = self._timers.pop(session_id, None)
        if timer is not None:
            timer.cancel()

    async def stop(self) -> None:
        """Follow nothing any more."""
        for session_id in list(self._timers):
            self.forget(session_id)
        for tick in self._ticks:
            tick.cancel()
        await asyncio.gather(*self._ticks, return_exceptions=True)

    def _strike_in(self, session_id: str, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers[session_id] = loop.call_later(delay_s, self._strike, session_id)

    def _strike(self, session_id: str) -> None:
        tick = asyncio.get_running_loop().create_task(self._tick(session_id))
        self._ticks.add(tick)
        tick.add_done_callback(self._ticks.discard)

    async def _tick(self, session_id: str) -> None:
        timer = self._timers.get(session_id)
        try:
            hold = await self._database.run(
                lambda connection: renew_or_end(connection, session_id, self._clock.utc_us())
            )
        except ContractViolation:
            # The database is closed: this node is ending, and nobody follows its calls.
            self.forget(session_id)
            return
        except Exception:  # noqa: BLE001 (a database that is away comes back; the call goes on)
            _log.exception("hold_not_renewed", session=session_id)
            if self._timers.get(session_id) is timer:
                self._strike_in(session_id, AGAIN_S)
            return
        if hold is not None and hold.is_used_up:
            self.forget(session_id)
            self._end_call(session_id)
        elif self._timers.get(session_id) is timer:
            # Else it ended meanwhile, or a leg's answer has set the timer anew.
            self.follow(session_id, hold)


def _some_time_before(latest_us: int, now_us: int) -> int:
    """Of the time that is left, a quarter at most is given to chance."""
    spread_us = min(SPREAD_US, (latest_us - now_us) // 4)
    return latest_us - round(randomness.source().random() * spread_us)
