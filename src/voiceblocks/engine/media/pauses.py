"""When a tap is paused: spans of positions of which nothing is kept.

A span begins and ends at the sample. What has come before a pause but arrives late is still placed;
what lies within it never reaches a row. So that such a row shows a pause and no loss,
its slots are marked (`ring`: `recordings.spool.PAUSED`) as time goes by; a sealed row, which shows
nothing to who has no key, gets silence, sealed like all else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from voiceblocks.engine.media.legs import NEVER
from voiceblocks.engine.media.ring import RING_BYTES, RING_SLOTS, Arena
from voiceblocks.recordings.spool import PAUSED, SILENCE_BYTE, SLOT_SAMPLES
from voiceblocks.rtp.timeline import CLOCK_HZ

REMEMBERED = 2 * CLOCK_HZ
"Samples: nothing comes so late that an older pause would matter."

SEALED_PIECE = 400
"Samples of a box of silence: no more than 50 ms of a pause are lost with the process."

NO_LIMIT = NEVER
"As the end of a pause that lasts."


@dataclass(slots=True)
class Pauses:
    """The pauses of one tap. All positions are absolute."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    "Oldest first; only the last may have the end `NO_LIMIT`."
    marked_until: int = 0
    "As far as the row shows the last of them."
    are_near: bool = False
    "Whether it is paused, or was a moment ago: what is sent is then looked at packet by packet."
    forgotten_samples: int = 0
    "Length of those that are too old to be remembered."

    @property
    def is_open(self) -> bool:
        """Whether the tap is paused now."""
        return bool(self.spans) and self.spans[-1][1] == NO_LIMIT

    def begin(self, position: int) -> None:
        """Pause from `position` on; it must not be paused."""
        if self.spans:
            position = max(position, self.spans[-1][1])
        old = [span for span in self.spans if span[1] < position - REMEMBERED]
        self.forgotten_samples += sum(after - first for first, after in old)
        self.spans = [*self.spans[len(old) :], (position, NO_LIMIT)]
        self.marked_until = position
        self.are_near = True

    def end(self, position: int) -> None:
        """Go on from `position`; it must be paused."""
        first, _never = self.spans.pop()
        self.spans.append((first, max(first, position)))

    def window(self, position: int) -> tuple[bool, int]:
        """Whether a position lies in a pause, and until where that is so."""
        for first, after in self.spans:
            if position < first:
                return False, first
            if position < after:
                return True, after
        return False, NO_LIMIT

    def heard(self, first: int, after: int) -> list[tuple[int, int]]:
        """The parts of a span of positions that lie in no pause."""
        parts = []
        for pause_first, pause_after in self.spans:
            if first < min(after, pause_first):
                parts.append((first, min(after, pause_first)))
            first = max(first, min(after, pause_after))
        if first < after:
            parts.append((first, after))
        return parts

    def samples_until(self, end: int) -> int:
        """How much of the time up to `end` was paused."""
        return self.forgotten_samples + sum(
            max(0, min(after, end) - first) for first, after in self.spans
        )


def mark_pause(arena: Arena, row: int, first: int, after: int) -> None:
    """
    Let whole slots of a plain row be ones in which the recording was paused.

    Args:
        arena: Where the row is.
        row: Which.
        first: Sample position, counted from the tap's zero. Nothing is placed from here on.
        after: The same, of the end.
    """
    header = arena.headers[row]
    clean = int(header["clean_slots"])
    slots = np.arange(
        max(-(-first // SLOT_SAMPLES), clean - RING_SLOTS), min(after // SLOT_SAMPLES, clean)
    )
    if not len(slots):
        return
    index = slots % RING_SLOTS
    header["present"] += np.count_nonzero(arena.presence[row, index] == 0)
    arena.presence[row, index] = PAUSED
    header["placed"] = max(int(header["placed"]), int(slots[-1] + 1) * SLOT_SAMPLES)


def wipe(arena: Arena, row: int, first: int) -> None:
    """
    Take back what a plain row holds from `first` on: it came before word of the pause did.

    Args:
        arena: Where the row is.
        row: Which.
        first: Sample position, counted from the tap's zero.
    """
    header = arena.headers[row]
    after = int(header["placed"])
    first = max(first, after - RING_BYTES)
    if first < after:
        places = np.arange(first, after) % RING_BYTES
        arena.audio[row, places] = SILENCE_BYTE[arena.law_of(row)]
        mark_pause(arena, row, first, after)
        header["placed"] = first


def pieces_of_silence(
    law: str, first: int, after: int, *, is_last: bool
) -> list[tuple[int, bytes]]:
    """Boxes of silence with their positions: whole ones, and the rest where the pause ends."""
    pieces = []
    while first < after and (is_last or after - first >= SEALED_PIECE):
        silent = bytes([SILENCE_BYTE[law]]) * min(SEALED_PIECE, after - first)
        pieces.append((first, silent))
        first += len(silent)
    return pieces
