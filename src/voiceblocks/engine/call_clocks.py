"""The clocks that end a call by themselves: it rings, waits for a block, or lives too long.

```
RINGING --start--> RUNNING --finishing--> FINISHING --ended--> WAITING --start--> RUNNING ...
```

*Ringing* and *waiting* have one clock, the application's time to send a block. Waiting begins
when the block's end is written down; its time counts from the first attempt of the
notification that says so (decision 2), wherever retries lead. The database may tell of that
attempt before it has told us of its own commit, so it also counts while FINISHING. Where no
attempt is made at all, the clock runs `UNTOLD_S` longer: nobody is left on the line for ever.

The clock does not strike while a request for this call is being prepared (`hold`): who sent
a block in time must not lose the caller because its prompt is still on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

UNTOLD_S = 60.0
"On top of the idle time while no attempt of the notification was begun: a busy host, a slow disk."


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long things may take, in seconds."""

    answer_timeout_s: float
    idle_timeout_s: float
    max_call_s: float


class Phase(Enum):
    """What the call waits for."""

    RINGING = auto()
    RUNNING = auto()
    FINISHING = auto()
    WAITING = auto()
    OVER = auto()


class CallClocks:
    """
    Starts with the ringing of a call.

    Args:
        limits: How long things may take.
        on_patience_over: Called when no block came in time; not while one is being prepared.
        on_too_old: Called when the call has lived long enough.
    """

    def __init__(
        self,
        limits: CallLimits,
        *,
        on_patience_over: Callable[[], None],
        on_too_old: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._on_patience_over = on_patience_over
        self._on_too_old = on_too_old
        self._loop = asyncio.get_running_loop()
        self._born = self._loop.time()
        self._phase = Phase.RINGING
        self._run_id: str | None = None
        self._was_told = False
        self._holds = 0
        self._is_overdue = False
        self._patience: asyncio.TimerHandle | None = None
        self._age: asyncio.TimerHandle | None = None
        self._set_patience(limits.answer_timeout_s)
        self._set_age(0.0)

    @property
    def phase(self) -> Phase:
        """What the call waits for now."""
        return self._phase

    def block_started(self, run_id: str, max_duration_s: float = 0.0) -> None:
        """A block was accepted; its own longest duration counts on top of the call's."""
        if self._phase is Phase.OVER:
            return
        self._phase = Phase.RUNNING
        self._run_id = run_id
        self._was_told = False
        self._set_patience(None)
        self._set_age(max_duration_s)

    def block_finishing(self, run_id: str) -> None:
        """The block is over; its end is being written down."""
        if self._is_current(run_id, Phase.RUNNING):
            self._phase = Phase.FINISHING

    def block_ended(self, run_id: str) -> None:
        """The end is written down, the application may be told; the next block is due."""
        if not self._is_current(run_id, Phase.FINISHING):
            return
        self._phase = Phase.WAITING
        idle_s = self._limits.idle_timeout_s
        self._set_patience(idle_s if self._was_told else idle_s + UNTOLD_S)
        self._set_age(0.0)

    def application_told(self) -> None:
        """The first attempt of a notification left; later ones of the same block do nothing."""
        if self._was_told:
            return
        if self._phase in (Phase.FINISHING, Phase.WAITING):
            self._was_told = True
        if self._phase is Phase.WAITING:
            self._set_patience(self._limits.idle_timeout_s)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """A block for this call is being prepared; the application has done its part."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._is_overdue and self._holds == 0:
                self._strike()

    def stop(self) -> None:
        """The call is over."""
        self._phase = Phase.OVER
        self._set_patience(None)
        if self._age is not None:
            self._age.cancel()

    def _is_current(self, run_id: str, phase: Phase) -> bool:
        # The next block may have been accepted before this one heard of its own commit.
        return self._run_id == run_id and self._phase is phase

    def _set_patience(self, delay_s: float | None) -> None:
        self._is_overdue = False
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None if delay_s is None else self._loop.call_later(delay_s, self._strike)

    def _set_age(self, extra_s: float) -> None:
        if self._age is not None:
            self._age.cancel()
        at = self._born + self._limits.max_call_s + extra_s
        self._age = self._loop.call_at(at, self._on_too_old)

    def _strike(self) -> None:
        if self._holds:
            self._is_overdue = True
        else:
            self._is_overdue = False
            self._on_patience_over()
