"""The clocks that end a call, on a loop whose time is made up."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

import pytest

from voiceblocks.engine.call_clocks import UNTOLD_S, CallClocks, CallLimits, Phase

LIMITS = CallLimits(answer_timeout_s=60, idle_timeout_s=30, max_call_s=1000)


class MadeUpLoop:
    """As much of a loop as timers need; `pass_s` lets time go by."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []

    def time(self) -> float:
        """Seconds."""
        return self.now

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *arguments: object
    ) -> asyncio.TimerHandle:
        """As asyncio's."""
        return self.call_at(self.now + delay_s, callback, *arguments)

    def call_at(
        self, when: float, callback: Callable[..., object], *arguments: object
    ) -> asyncio.TimerHandle:
        """As asyncio's."""
        real = asyncio.new_event_loop()
        handle = asyncio.TimerHandle(when, callback, arguments, real)
        real.close()
        heapq.heappush(self._due, (when, len(self._due), handle))
        return handle

    def pass_s(self, seconds: float) -> None:
        """Let time go by, and do what is due."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            when, _, handle = heapq.heappop(self._due)
            self.now = max(self.now, when)
            if not handle.cancelled():
                handle._callback(*handle._args)
        self.now = end


class Call:
    """Clocks and what they struck."""

    def __init__(self, loop: MadeUpLoop) -> None:
        self.loop = loop
        self.struck: list[tuple[str, float]] = []
        self.clocks = CallClocks(
            LIMITS,
            on_patience_over=lambda: self.struck.append(("patience", loop.now)),
            on_too_old=lambda: self.struck.append(("age", loop.now)),
        )

    def run_block(self, run_id: str, *, for_s: float, max_duration_s: float = 0) -> None:
        """A block from its acceptance to the commit of its end."""
        self.clocks.block_started(run_id, max_duration_s)
        self.loop.pass_s(for_s)
        self.clocks.block_finishing(run_id)
        self.clocks.block_ended(run_id)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """A call that just began to ring."""
    loop = MadeUpLoop()
    monkeypatch.setattr("voiceblocks.engine.call_clocks.asyncio.get_running_loop", lambda: loop)
    return Call(loop)


def test_ringing_ends_after_the_answer_timeout(call: Call) -> None:
    """Notifications that leave meanwhile do not change it."""
    call.loop.pass_s(59)
    call.clocks.application_told()
    assert call.struck == []
    call.loop.pass_s(1)
    assert call.struck == [("patience", 60)]


def test_idle_time_counts_from_the_first_attempt_only(call: Call) -> None:
    """A second one, of whatever notification, does not extend it (decision 2)."""
    call.run_block("run_1", for_s=10)
    call.loop.pass_s(5)
    call.clocks.application_told()
    call.loop.pass_s(20)
    call.clocks.application_told()
    call.loop.pass_s(9)
    assert call.struck == []
    call.loop.pass_s(1)
    assert call.struck == [("patience", 45)]


def test_an_attempt_that_is_known_before_the_commit_is_counts(call: Call) -> None:
    """PostgreSQL's threads may tell of the claim before they tell of the block's end."""
    call.clocks.block_started("run_1")
    call.clocks.block_finishing("run_1")
    call.clocks.application_told()
    call.clocks.block_ended("run_1")
    call.loop.pass_s(30)
    assert call.struck == [("patience", 30)]


def test_a_notification_that_never_leaves_does_not_keep_a_call(call: Call) -> None:
    """A host with too many requests, or a stuck outbox: the call ends all the same."""
    call.run_block("run_1", for_s=0)
    call.loop.pass_s(30 + UNTOLD_S - 1)
    assert call.struck == []
    call.loop.pass_s(1)
    assert [what for what, _ in call.struck] == ["patience"]


def test_a_running_block_is_not_hurried(call: Call) -> None:
    """The clock stands still from acceptance to the commit of the end, however long it takes."""
    call.clocks.block_started("run_1")
    call.loop.pass_s(300)
    call.clocks.application_told()
    call.loop.pass_s(300)
    call.clocks.block_finishing("run_1")
    call.loop.pass_s(300)
    assert call.struck == []
    assert call.clocks.phase is Phase.FINISHING


def test_a_block_that_comes_before_the_last_heard_of_its_commit(call: Call) -> None:
    """The old block's end must not start the clock beside the new one."""
    call.clocks.block_started("run_1")
    call.clocks.block_finishing("run_1")
    call.clocks.block_started("run_2")
    call.clocks.block_ended("run_1")
    call.loop.pass_s(200)
    assert call.struck == []
    assert call.clocks.phase is Phase.RUNNING


def test_blocks_do_not_make_a_call_younger(call: Call) -> None:
    """One record block after another: the age counts from the first ring, always."""
    for number in range(9):
        call.run_block(f"run_{number}", for_s=100, max_duration_s=500)
    assert call.struck == []
    call.run_block("run_last", for_s=150, max_duration_s=120)
    assert call.struck == []
    call.loop.pass_s(0)
    assert call.struck == [("age", 1050)]


def test_a_running_block_counts_on_top_of_the_age(call: Call) -> None:
    """Until it ends, and not longer."""
    call.clocks.block_started("run_1", 500)
    call.loop.pass_s(1499)
    assert call.struck == []
    call.loop.pass_s(1)
    assert call.struck == [("age", 1500)]


def test_a_request_in_preparation_holds_the_clock(call: Call) -> None:
    """A block that was sent in time finds its caller still there."""
    with call.clocks.hold():
        call.loop.pass_s(75)
        assert call.struck == []
        call.clocks.block_started("run_1")
    call.loop.pass_s(60)
    assert call.struck == []


def test_a_request_that_is_refused_lets_the_clock_strike(call: Call) -> None:
    """At once if its time had come, else when it comes."""
    with call.clocks.hold():
        call.loop.pass_s(10)
    assert call.struck == []
    with call.clocks.hold(), call.clocks.hold():
        call.loop.pass_s(60)
    assert call.struck == [("patience", 70)]


def test_nothing_strikes_after_the_end(call: Call) -> None:
    """Late blocks and releases included."""
    with call.clocks.hold():
        call.loop.pass_s(61)
        call.clocks.stop()
    call.clocks.block_started("run_1", 5)
    call.clocks.application_told()
    call.clocks.block_finishing("run_1")
    call.clocks.block_ended("run_1")
    call.loop.pass_s(5000)
    assert call.struck == []
