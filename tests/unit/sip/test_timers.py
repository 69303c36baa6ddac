"""The queue of deadlines and the doubling repeater."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.sip.timers import T2_S, Repeater, TimerQueue


def test_timers_fire_in_order_and_once() -> None:
    """Earlier deadlines first, equal ones in the order they were set."""
    queue, fired = TimerQueue(), []
    for name, at in (("c", 3.0), ("a", 1.0), ("b", 1.0)):
        queue.schedule(at, lambda now, name=name: fired.append((name, now)))
    assert queue.next_deadline() == 1.0
    queue.run_due(0.9)
    queue.run_due(2.0)
    queue.run_due(2.0)
    assert fired == [("a", 2.0), ("b", 2.0)]
    assert len(queue) == 1


def test_cancelled_timers_vanish_at_once() -> None:
    """Neither counted nor a deadline; cancelling twice or after firing is harmless."""
    queue = TimerQueue()
    timer = queue.schedule(1.0, lambda now: None)
    timer.cancel()
    timer.cancel()
    assert (len(queue), queue.next_deadline()) == (0, None)
    fired = queue.schedule(1.0, lambda now: None)
    queue.run_due(1.0)
    fired.cancel()
    assert len(queue) == 0


def test_memory_of_cancelled_timers_is_bounded() -> None:
    """A million cancelled timers do not stay in the heap."""
    queue = TimerQueue()
    queue.schedule(1e9, lambda now: None)
    for at in range(10_000):
        queue.schedule(1e6 + at, lambda now: None).cancel()
    assert len(queue) == 1
    assert len(queue._heap) < 200


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60), st.floats(0, 100))
def test_exactly_the_due_ones_fire(timers: list[tuple[float, bool]], now: float) -> None:
    """Whatever is set and cancelled: all that is due fires, in order, and nothing else."""
    queue, fired = TimerQueue(), []
    for at, keep in timers:
        timer = queue.schedule(at, lambda _, at=at: fired.append(at))
        if not keep:
            timer.cancel()
    queue.run_due(now)
    assert fired == sorted(at for at, keep in timers if keep and at <= now)
    left = [at for at, keep in timers if keep and at > now]
    assert len(queue) == len(left)
    assert queue.next_deadline() == (min(left) if left else None)


def test_repeater_doubles_up_to_its_limit() -> None:
    """0.5, 1, 2, 4, 4 s apart with T2; without limit it doubles on."""
    for longest_s, wanted in ((T2_S, [0.5, 1.5, 3.5, 7.5, 11.5]), (None, [0.5, 1.5, 3.5, 7.5])):
        queue, sent = TimerQueue(), []
        repeater = Repeater(queue, lambda sent=sent: sent.append(None), 0.0, longest_s=longest_s)
        at = []
        while (deadline := queue.next_deadline()) is not None and deadline < 12:
            queue.run_due(deadline)
            at.append(deadline)
        assert at == wanted
        assert len(sent) == len(wanted)
        repeater.stop()
        assert len(queue) == 0


def test_repeater_slows_down() -> None:
    """After a provisional response only each T2."""
    queue = TimerQueue()
    repeater = Repeater(queue, lambda: None, 0.0)
    repeater.slow_down(0.1)
    assert queue.next_deadline() == 0.1 + T2_S
    queue.run_due(4.1)
    assert queue.next_deadline() == 4.1 + T2_S
