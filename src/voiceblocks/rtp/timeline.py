"""Maps RTP timestamps of one stream to wall-clock sample positions (decision 15).

A *position* counts samples of the local monotonic clock: `round(now * 8000)` is the
position of `now`. A packet that arrives with the least delay ends exactly at its arrival:
its audio was spoken just before. So the recording of a stream has the length of the time
that passed, whatever is lost, late, doubled or silent-suppressed.

Theory of operation. An anchor (timestamp, position) maps every timestamp. The *lead* of a
packet is the position of its arrival minus the position of its end. Zero is the least
possible delay, negative means that the anchor is too late (an earlier packet had been
delayed), positive is queueing. The least lead of each window of `WINDOW_S` shows drift of
the sender's clock and changes of route. While it stays within the dead band (the worker
reads its sockets every 10 ms, so leads are that coarse) nothing moves; outside, the anchor is
moved: at once while nobody records, by one sample each packet while somebody does.
A timestamp that cannot be right (in the future, or long gone) re-anchors the stream at now.

The media worker keeps anchors and least leads of all legs in NumPy columns and runs the
ordinary case by itself: `TimelineState` is what both share. It covers G.711 at 8000 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from voiceblocks.rtp.sequence import uint32_add, uint32_distance

CLOCK_HZ = 8000

MAX_AHEAD = 1600
"Nothing is placed later than this many samples (200 ms) after now, whatever a timestamp says."

MAX_LATE = 3840
"480 ms: older audio is not placed any more; the keeper has settled what is 500 ms old."

STALE_LEAD = 1600
"A stream whose every packet is later than 200 ms, for `STALE_S`, has stopped its timestamps."
STALE_S = 0.4

JUMP_LATE = 40_000
"Five seconds: an in-order packet whose timestamp lies further back is a jump, not a delay."

WINDOW_S = 8.0
"A machine or a route that is slow for some seconds is no drift; one that stays slow is."
DEAD_BAND = 100
"12.5 ms either way: more than the reading interval of 10 ms, less than the promised 20 ms."

SEAM = 120
"15 ms: a stream that is anchored anew so near to its end just goes on there."

NO_LEAD = 1 << 40
"Least lead of a window in which nothing came."


class Placement(Enum):
    """What became of a packet."""

    PLACED = "placed"
    ANCHORED = "anchored"
    "Placed, after the stream was anchored anew."
    TOO_LATE = "too_late"
    "Not to be placed."


def position_of(now: float) -> int:
    """The position of monotonic time `now`."""
    return round(now * CLOCK_HZ)


@dataclass(slots=True)
class TimelineState:
    """The mapping of one stream; plain numbers, so that a leg can move (decision 14)."""

    timestamp: int = 0
    "Timestamp of the anchor: the one expected next."
    position: int = 0
    "Its position."
    anchored: bool = False
    least_lead: int = NO_LEAD
    "Least lead in the current window."
    previous_lead: int = NO_LEAD
    "Least lead in the window before."
    window_ends: float = 0.0
    slew: int = 0
    "Samples by which the anchor still has to move, one each packet; positive is later."
    late_since: float = -1.0
    "When packets began to be later than `STALE_LEAD` without an exception; -1 while they are not."


class Timeline:
    """
    The careful path: takes one packet at a time, of any kind.

    Args:
        state: Kept by reference and changed.
        ends_windows: Whether `place` ends windows itself; else the owner calls `end_window`
            every `WINDOW_S`, since it sees packets that never come here.
    """

    def __init__(self, state: TimelineState | None = None, *, ends_windows: bool = True) -> None:
        self.state = state or TimelineState()
        self._ends_windows = ends_windows

    def reset(self) -> None:
        """Forget the mapping: the SSRC changed, or the source did."""
        self.state.anchored = False
        self.state.slew = 0
        self.state.least_lead = self.state.previous_lead = NO_LEAD
        self.state.late_since = -1.0

    def position_at(self, timestamp: int) -> int:
        """The position of a timestamp under the present mapping; 0 before the first packet."""
        state = self.state
        return state.position + uint32_distance(timestamp, state.timestamp)

    def place(
        self, timestamp: int, n_samples: int, now: float, *, in_order: bool, recording: bool
    ) -> tuple[Placement, int]:
        """
        Decide where a packet belongs.

        Args:
            timestamp: Its RTP timestamp.
            n_samples: Its duration.
            now: When it arrived.
            in_order: Whether its sequence number is newer than all before.
            recording: Whether somebody records, so that corrections must be gentle.

        Returns:
            What became of it, and the position of its first sample.
        """
        state = self.state
        now_position = position_of(now)
        if not state.anchored:
            return Placement.ANCHORED, self._anchor(timestamp, n_samples, now)
        position = self.position_at(timestamp)
        lead = now_position - (position + n_samples)
        if in_order and self._jumped(timestamp, lead, now):
            return Placement.ANCHORED, self._anchor(timestamp, n_samples, now)
        if lead < -MAX_AHEAD or lead + n_samples > MAX_LATE:
            return Placement.TOO_LATE, position
        if in_order:
            self._observe(lead, now, recording=recording)
            if recording:
                self._slew_once()
            position = self.position_at(timestamp)
            state.timestamp = uint32_add(timestamp, n_samples)
            state.position = position + n_samples
        return Placement.PLACED, position

    def _jumped(self, timestamp: int, lead: int, now: float) -> bool:
        state = self.state
        gap = uint32_distance(timestamp, state.timestamp)
        # Time goes forward in the order of sequence numbers; and a gap that ends before it
        # has passed was none, or the mapping was too late, and the gap hides the correction.
        if gap < 0 or (gap > 0 and lead < -DEAD_BAND):
            return True
        if lead < -MAX_AHEAD or lead > JUMP_LATE:
            return True
        if lead <= STALE_LEAD:
            state.late_since = -1.0
            return False
        if state.late_since < 0:
            state.late_since = now
        return now - state.late_since >= STALE_S

    def _anchor(self, timestamp: int, n_samples: int, now: float) -> int:
        state = self.state
        end = position_of(now)
        if abs(end - n_samples - state.position) <= SEAM:
            # The stream goes on without a pause; arrival is not more exact than this.
            end = state.position + n_samples
        state.timestamp = uint32_add(timestamp, n_samples)
        state.position = end
        state.anchored = True
        state.slew = 0
        state.late_since = -1.0
        state.least_lead = state.previous_lead = NO_LEAD
        state.window_ends = now + WINDOW_S
        return end - n_samples

    def _observe(self, lead: int, now: float, *, recording: bool) -> None:
        state = self.state
        state.least_lead = min(state.least_lead, lead)
        if self._ends_windows and now >= state.window_ends:
            self.end_window(now, recording=recording)
        elif not recording and state.least_lead < 0:
            # The anchor packet itself had been delayed; nobody hears the correction.
            self.apply_least_lead()

    def end_window(self, now: float, *, recording: bool) -> None:
        """Judge the window that is over and begin the next one."""
        state = self.state
        correction = correction_for(state.previous_lead, state.least_lead)
        if not recording:
            # Without a dead band, so that a recording begins with the best mapping known.
            correction = min(correction, state.least_lead) if state.least_lead < 0 else correction
        if recording:
            state.slew = correction
        else:
            state.position += correction
        # Windows after a correction at once are seen with the corrected mapping.
        state.previous_lead = state.least_lead - (0 if recording else correction)
        if state.least_lead == NO_LEAD:
            state.previous_lead = NO_LEAD
        state.least_lead = NO_LEAD
        state.window_ends = now + WINDOW_S

    def apply_least_lead(self) -> None:
        """Correct an anchor that is known to be too late, at once; for use before a recording."""
        state = self.state
        if state.least_lead < 0:
            state.position += state.least_lead
            state.least_lead = 0

    def _slew_once(self) -> None:
        state = self.state
        step = (state.slew > 0) - (state.slew < 0)
        state.position += step
        state.slew -= step


def correction_for(previous: int, least: int) -> int:
    """
    Samples by which a mapping has to move; positive is later.

    A negative lead is proof. A positive one must last for two windows: after a stall of the
    network, a window may hold nothing but a part of the burst that follows.

    Args:
        previous: Least lead of the window before.
        least: Least lead of this window.
    """
    if least == NO_LEAD or least < -DEAD_BAND:
        return 0 if least == NO_LEAD else least
    if previous == NO_LEAD:
        return 0
    lasting = min(previous, least)
    return lasting if lasting > DEAD_BAND else 0
