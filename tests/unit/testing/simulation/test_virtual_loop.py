"""The loop whose time is arithmetic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.testing.simulation.virtual_loop import START_S, NothingLeft, VirtualLoop, round_at

DELAYS = st.lists(st.floats(0, 1e6, allow_nan=False), max_size=20)


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """A loop that is closed afterwards."""
    made = VirtualLoop()
    yield made
    made.close()


@given(DELAYS)
def test_timers_come_in_their_order_at_their_time(delays: list[float]) -> None:
    """Whatever timers are set: each is called at its time, the earlier before the later."""
    loop = VirtualLoop()
    called: list[tuple[float, float]] = []
    for delay in delays:
        loop.call_later(delay, lambda d=delay: called.append((d, loop.time())))
    loop.call_later(2e6, loop.stop)
    loop.run_forever()
    loop.close()
    assert sorted(delay for delay, _ in called) == sorted(delays)
    times = [START_S + delay for delay, _ in called]
    assert times == sorted(times)
    for delay, at_s in called:
        assert at_s == pytest.approx(START_S + delay, abs=2e-6)


@given(st.lists(DELAYS, max_size=5))
def test_tasks_interleave_the_same_twice(plans: list[list[float]]) -> None:
    """Tasks that sleep do so in the same order in every run, and end when their sleeps are over."""

    async def sleeper(name: int, plan: list[float], seen: list[tuple[int, float]]) -> None:
        for delay in plan:
            await asyncio.sleep(delay)
            seen.append((name, asyncio.get_running_loop().time()))

    async def everybody(seen: list[tuple[int, float]]) -> None:
        await asyncio.gather(*(sleeper(n, plan, seen) for n, plan in enumerate(plans)))

    runs = []
    for _ in range(2):
        loop = VirtualLoop()
        seen: list[tuple[int, float]] = []
        loop.run_until_complete(everybody(seen))
        loop.close()
        runs.append(seen)
    assert runs[0] == runs[1]
    assert len(runs[0]) == sum(map(len, plans))


def test_a_year_takes_no_time(loop: VirtualLoop) -> None:
    """Sleeping is adding."""
    loop.run_until_complete(asyncio.sleep(365 * 86400))
    assert loop.time() == pytest.approx(START_S + 365 * 86400, abs=1e-5)
    utc_us = 1_767_225_600_000_000 + 365 * 86_400_000_000
    assert loop.utc_us() == pytest.approx(utc_us, abs=10)


def test_waiting_for_what_cannot_come_is_an_error(loop: VirtualLoop) -> None:
    """Where no timer is left the loop says so instead of hanging."""
    never = loop.create_future()
    with pytest.raises(NothingLeft):
        loop.run_until_complete(never)


def test_a_time_limit_ends_waiting(loop: VirtualLoop) -> None:
    """`asyncio.timeout` is virtual, too."""

    async def wait() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert loop.run_until_complete(wait()) == pytest.approx(START_S + 30)


def test_threads_are_not_needed(loop: VirtualLoop) -> None:
    """What asyncio would give to a thread is done at once, in its caller's context."""

    async def ask() -> int:
        return await asyncio.to_thread(lambda: 3)

    assert loop.run_until_complete(ask()) == 3
    assert loop.time() == START_S


def test_what_is_due_in_the_background_is_done_together_and_never_early() -> None:
    """Every instant has its round: at it, or up to four seconds later, in the same order."""
    starts = [START_S + hundredths / 100 for hundredths in range(1, 2001)]
    rounds = [round_at(when_s) for when_s in starts]
    assert all(0 <= at - when_s < 4 for at, when_s in zip(rounds, starts, strict=True))
    assert rounds == sorted(rounds)
    assert {round(at - START_S, 6) for at in rounds} == {4, 8, 12, 16, 20}
    assert [round_at(at) for at in rounds] == rounds
