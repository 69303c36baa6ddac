"""Whatever happens to packets, a recording has the length of the time that passed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceblocks.rtp.timeline import (
    DEAD_BAND,
    MAX_AHEAD,
    MAX_LATE,
    NO_LEAD,
    Placement,
    Timeline,
    TimelineState,
    correction_for,
    position_of,
)

PTIME_S = 0.02


def feed(timeline: Timeline, timestamp: int, now: float, **options: bool) -> tuple[Placement, int]:
    """One 20 ms packet in order."""
    settings_of = {"in_order": True, "recording": True} | options
    return timeline.place(timestamp & 0xFFFFFFFF, 160, now, **settings_of)  # type: ignore[arg-type]


def test_the_first_packet_ends_at_its_arrival():
    """Its audio was spoken just before."""
    timeline = Timeline()
    assert feed(timeline, 5000, 10.0) == (Placement.ANCHORED, 80_000 - 160)
    assert feed(timeline, 5160, 10.02) == (Placement.PLACED, 80_000)
    assert timeline.position_at(5160 + 800) == 80_800


def test_the_timestamp_wraps():
    """Positions go on across 2**32."""
    timeline = Timeline()
    start = 0xFFFF_FFF0
    positions = [feed(timeline, start + 160 * i, 10 + i * PTIME_S)[1] for i in range(5)]
    assert positions == [80_000 - 160 + 160 * i for i in range(5)]


@settings(max_examples=60, deadline=None)
@given(
    delays_ms=st.lists(st.integers(0, 60), min_size=300, max_size=300),
    lost=st.sets(st.integers(0, 299), max_size=120),
    doubled=st.sets(st.integers(0, 299), max_size=60),
    pauses=st.dictionaries(st.integers(0, 299), st.integers(1, 100), max_size=3),
    jumps=st.dictionaries(st.integers(1, 299), st.integers(-(2**31), 2**31 - 1), max_size=3),
    drift_ppm=st.integers(-300, 300),
)
def test_positions_follow_the_wall_clock(
    delays_ms: list[int],
    lost: set[int],
    doubled: set[int],
    pauses: dict[int, int],
    jumps: dict[int, int],
    drift_ppm: int,
):
    """
    Loss, jitter, reordering, doubling, silence suppression, jumps and drift.

    Nothing is ever placed more than 200 ms after now or 480 ms before it, and once the
    network was seen without delay the mapping is right within 20 ms and the worst jitter.
    """
    timeline = Timeline()
    spoken_at, timestamp, arrivals = 100.0, 12345, []
    for index in range(300):
        pause = pauses.get(index, 0)
        spoken_at += (1 + pause) * PTIME_S * (1 - drift_ppm * 1e-6)
        timestamp += 160 * (1 + pause) + jumps.get(index, 0)
        copies = 0 if index in lost else 2 if index in doubled else 1
        arrived_at = spoken_at + delays_ms[index] / 1000
        arrivals += [(arrived_at, index, timestamp, spoken_at)] * copies
    highest = -1
    for arrived_at, index, stamp, spoken in sorted(arrivals):
        placement, position = timeline.place(
            stamp & 0xFFFFFFFF, 160, arrived_at, in_order=index > highest, recording=True
        )
        highest = max(highest, index)
        if placement is not Placement.TOO_LATE:
            now = position_of(arrived_at)
            assert position + 160 <= now + MAX_AHEAD
            assert position >= now - MAX_LATE
            if not jumps:
                assert abs(position + 160 - spoken * 8000) <= 60 * 8 + 160


@pytest.mark.parametrize("ppm", [-200, -50, 50, 200])
def test_drift_is_slewed_within_20_ms(ppm: int):
    """Ten minutes of a sender whose clock is wrong; steps of one sample only."""
    timeline = Timeline()
    period = PTIME_S * (1 - ppm * 1e-6)
    previous = None
    for index in range(30_000):
        arrived_at = 50 + index * period
        _, position = feed(timeline, index * 160, arrived_at)
        assert abs(position + 160 - arrived_at * 8000) < 160
        if previous is not None:
            assert abs(position - previous - 160) <= 1
        previous = position


def test_a_delayed_first_packet_is_corrected_at_once_while_nobody_records():
    """Later packets prove that the first one had been on its way for long."""
    timeline = Timeline()
    feed(timeline, 0, 10.1, recording=False)
    _, position = feed(timeline, 160, 10.02, recording=False)
    assert position == 80_160 - 160


def test_a_route_that_became_longer_is_followed_slowly():
    """Only after two windows, and by one sample each packet."""
    timeline = Timeline()
    for index in range(2000):
        delay = 0.06 if index > 100 else 0.0
        _, position = feed(timeline, index * 160, 10 + index * PTIME_S + delay)
        if index == 450:
            assert position == 80_000 - 160 + index * 160
    assert position + 160 == pytest.approx(80_000 + 1999 * 160 + 480, abs=DEAD_BAND)


def test_a_stall_and_its_burst_move_nothing():
    """The audio of a burst belongs where it was spoken."""
    timeline = Timeline()
    feed(timeline, 0, 10.0)
    for index in range(1, 200):
        spoken_at = 10 + index * PTIME_S
        arrived_at = 10 + 60 * PTIME_S if 40 <= index < 60 else spoken_at
        assert feed(timeline, index * 160, arrived_at) == (
            Placement.PLACED,
            80_000 - 160 + index * 160,
        )


def test_stopped_timestamps_are_anchored_anew():
    """A sender that does not count its pause is late for ever, until it is believed."""
    timeline = Timeline()
    feed(timeline, 0, 10.0)
    found = [feed(timeline, 160 * index, 13 + index * PTIME_S)[0] for index in range(1, 60)]
    assert found[0] is Placement.TOO_LATE
    assert Placement.ANCHORED in found
    assert found[-1] is Placement.PLACED


@pytest.mark.parametrize("jump", [-170, -3000, 50_000, 2**31 - 1, -(2**31)])
def test_a_jump_in_order_goes_on_at_now(jump: int):
    """Backwards at once, forwards when it would lie in the future; without a seam."""
    timeline = Timeline()
    feed(timeline, 1000, 10.0)
    assert feed(timeline, 1160 + jump, 10.02) == (Placement.ANCHORED, 80_000)


def test_a_reset_forgets_the_stream():
    """A new SSRC has a new mapping, right where the old one ended."""
    timeline = Timeline()
    feed(timeline, 1000, 10.0)
    timeline.reset()
    assert feed(timeline, 77, 10.021) == (Placement.ANCHORED, 80_000)


@pytest.mark.parametrize(
    ("previous", "least", "correction"),
    [
        (NO_LEAD, NO_LEAD, 0),
        (0, NO_LEAD, 0),
        (0, DEAD_BAND, 0),
        (0, -DEAD_BAND, 0),
        (NO_LEAD, -101, -101),
        (500, -101, -101),
        (NO_LEAD, 400, 0),
        (0, 400, 0),
        (300, 400, 300),
        (400, 300, 300),
        (-200, 400, 0),
    ],
)
def test_corrections(previous: int, least: int, correction: int):
    """The table of two windows."""
    assert correction_for(previous, least) == correction


def test_state_is_kept_by_reference():
    """The worker shares it with its columns."""
    state = TimelineState()
    timeline = Timeline(state)
    feed(timeline, 0, 10.0)
    assert state.anchored
    state.least_lead = -50
    timeline.apply_least_lead()
    assert state.position == 80_000 - 50
    assert state.least_lead == 0
