"""What a leg receives between the end of a beep and the command to record it.

The worker knows first that a prompt is over; who decides what comes then is another process,
which may be busy. What the caller says meanwhile waits here, so that the recording begins where
the beep was over, and not where the command arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voiceblocks.engine.media.legs import Leg
from voiceblocks.recordings.spool import SLOT_SAMPLES

LONGEST = 16_000
"Two seconds: nobody will ask any more."


@dataclass(slots=True)
class Preroll:
    """Packets of one leg since `zero`, a position on a packet boundary of its stream."""

    source: int
    "What was over then."
    zero: int
    expected_before: int
    received_before: int
    late_before: int
    packets: list[tuple[int, bytes, str]] = field(default_factory=list)
    "Position, payload and law."

    def keep(self, position: int, payload: bytes, law: str) -> bool:
        """Take a packet; `False` when nobody asked for so long that this may be forgotten."""
        self.packets.append((position, payload, law))
        return position - self.zero <= LONGEST


def begin_preroll(leg: Leg, source: int, position: int) -> Preroll:
    """
    Begin at the packet boundary that is nearest to a position.

    Args:
        leg: Loaded; its mapping is corrected, where nobody records it yet.
        source: What is over then.
        position: When.
    """
    if not leg.is_recorded:
        leg.timeline.apply_least_lead()
    zero = position
    if leg.timeline.state.anchored:
        step = leg.packet_samples or SLOT_SAMPLES
        boundary = leg.timeline.state.position
        zero = boundary + (position - boundary + step // 2) // step * step
    return Preroll(
        source=source,
        zero=zero,
        expected_before=leg.statistics.total_expected,
        received_before=leg.statistics.total_received,
        late_before=leg.packets_late,
    )


def take_preroll(leg: Leg, source: int | None, position: int) -> Preroll:
    """What was kept since `source` was over; if nothing was: empty, from `position` on."""
    preroll = leg.preroll
    if preroll is None or preroll.source != source:
        return begin_preroll(leg, -1, position)
    leg.preroll = None
    return preroll
