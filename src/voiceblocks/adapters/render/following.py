"""Recordings that become MP3s while the call goes on (decision 17).

Each followed spool is looked at once a second and encoded up to half a second behind
its end, so that the end of a recording leaves the same small rest to do whether it
was five seconds long or two hours. Everything happens in slices of a few milliseconds
of work, chosen one at a time by `Schedule`, so that a finishing recording never waits
long behind others. Reads no clock: `now` is monotonic seconds.
"""

from __future__ import annotations

import heapq
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from voiceblocks.adapters.render.recorded_file import RecordedFile
from voiceblocks.adapters.render.spooled_audio import OneSpool, SpooledAudio, TwoSpools
from voiceblocks.audio.heard_keys import LOOKED_AT, where_key_begins
from voiceblocks.audio.silence import is_sound, mean_squares
from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.errors import StoreError
from voiceblocks.recordings.interfaces import AudioHealth
from voiceblocks.recordings.spool import SLOT_SAMPLES

TRAIL_SLOTS = 25
"Half a second: what is further back is settled (decision 15)."
PERIOD_S = 1.0
"Between two looks at the same spool."
SLICE_SLOTS = 200
"Four seconds of audio, about four milliseconds of work."
TRIM_MARGIN_SLOTS = 10
"200 ms of silence stay before the first and after the last sound, whose ends are soft."
SLOT_MS = 20

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Finished:
    """What `Following.step` made of a whole spool."""

    path: Path
    size_bytes: int
    sha256: str
    n_samples: int
    health: AudioHealth


class Remaining(Protocol):
    """A recording whose end is known, as `Schedule` sees it."""

    def remaining_slots(self) -> int:
        """How far away the end is."""
        ...


class Following:
    """
    One recording being encoded.

    Args:
        spool_path: May not exist yet; then there is nothing to encode.
        target: The finished file. Until then it is `target` with `.part` added.
        heard_path: The second spool of a stereo recording, which becomes its right channel.
        shape: What the recording is to become.
    """

    def __init__(
        self,
        spool_path: Path,
        target: Path,
        heard_path: Path | None = None,
        shape: RecordingShape = PLAIN,
    ) -> None:
        self._audio: SpooledAudio = (
            OneSpool(spool_path) if heard_path is None else TwoSpools(spool_path, heard_path)
        )
        self._is_open = False
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._shape = shape
        self._file: RecordedFile | None = None
        self._seen_slots = 0
        self._done_slots = 0
        self._sound_ends = 0
        self._absent_slots = 0
        self._paused_slots = 0
        self._n_samples = 0
        self._finish_key: str | None = None

    def follow_step(self) -> bool:
        """Encode one slice of what is settled; `True` if there is more of it now."""
        if not self._is_open:
            try:
                self._audio.open()
            except StoreError:
                # Not made yet, most likely; if it is something else, the finish will say so.
                return False
            # While half a second is all there is, the time zeros may not be known.
            self._is_open = self._audio.n_slots() >= TRAIL_SLOTS
        settled = self._audio.n_slots() - TRAIL_SLOTS
        return settled > 0 and self._advance(settled)

    def end_at(self, n_samples: int, finish_key: str | None = None) -> None:
        """
        Set the length; what was encoded beyond it is encoded anew.

        Args:
            n_samples: The length by the clock.
            finish_key: Where it is heard at the end, the recording ends where that begins.
        """
        self._finish_key = finish_key
        self._end_at(n_samples)

    def remaining_slots(self) -> int:
        """Slots between here and the end, the partial last one included."""
        return -(-self._n_samples // SLOT_SAMPLES) - self._done_slots

    def finish_step(self) -> Finished | None:
        """
        Encode one slice towards the end.

        Returns:
            The finished file, synced, or `None` while there is more to do.

        Raises:
            StoreError: If the spool cannot be read.
            EncodeError: If the length is 0, or the file cannot be written, or reads back
                different.
        """
        if not self._is_open:
            self._audio.open_complete()
            self._is_open = True
        if self._finish_key is not None:
            self._cut_off(self._finish_key)
            self._finish_key = None
        whole_slots = self._n_samples // SLOT_SAMPLES
        if self._advance(whole_slots):
            return None
        # No audio at all: the writer then refuses to finish, with a clear sentence.
        file = self._open_file()
        rest = self._rest_samples(whole_slots)
        if rest:
            file.write(self._audio.samples(self._done_slots, 1)[:rest])
        self._file = None
        written = file.finish()
        _sync(self._part)
        self._part.replace(self._target)
        paused_ms = self._paused_slots * SLOT_MS
        health = AudioHealth(
            written.level_dbfs,
            max(0, written.silent_ms - paused_ms),
            self._absent_slots * SLOT_MS,
            paused_ms,
        )
        return Finished(self._target, written.size_bytes, written.sha256, written.n_samples, health)

    def discard(self) -> None:
        """Throw away what was encoded; the next step begins anew."""
        if self._file is not None:
            self._file.abandon()
            self._file = None
        self._part.unlink(missing_ok=True)
        self._seen_slots = self._done_slots = self._sound_ends = 0
        self._absent_slots = self._paused_slots = 0

    def close(self) -> None:
        """Let go of the spool."""
        self._audio.close()
        self._is_open = False

    def _end_at(self, n_samples: int) -> None:
        self._n_samples = n_samples
        if self._seen_slots * SLOT_SAMPLES > n_samples:
            self.discard()

    def _cut_off(self, key: str) -> None:
        """End the recording where its last sound, a key, begins; never before the first sample."""
        first = max(0, self._n_samples - LOOKED_AT) // SLOT_SAMPLES
        begins = first * SLOT_SAMPLES
        count = -(-self._n_samples // SLOT_SAMPLES) - first
        heard = self._audio.samples(first, count)[: self._n_samples - begins]
        if heard.ndim == 1:
            self._end_at(max(1, begins + where_key_begins(heard, key)))

    def _advance(self, up_to_slots: int) -> bool:
        """Encode one slice towards a slot that is there; `True` if there is more."""
        seen = min(up_to_slots, self._seen_slots + SLICE_SLOTS)
        if seen > self._seen_slots:
            self._look_at(self._seen_slots, seen - self._seen_slots)
            self._seen_slots = seen
        # Silence is encoded when a sound comes after it.
        ends = min(seen, self._sound_ends) if self._shape.trims_silence else seen
        count = min(SLICE_SLOTS, ends - self._done_slots)
        if count > 0:
            self._open_file().write(self._audio.samples(self._done_slots, count))
            self._paused_slots += self._audio.paused_slots(self._done_slots, count)
            self._done_slots += count
        return seen < up_to_slots or self._done_slots < ends

    def _look_at(self, first: int, count: int) -> None:
        self._absent_slots += self._audio.absent_slots(first, count)
        if not self._shape.trims_silence:
            return
        slots = self._audio.samples(first, count).reshape(count, -1)
        sound = np.nonzero(is_sound(mean_squares(slots)))[0]
        if len(sound):
            if not self._sound_ends:
                self._done_slots = max(0, first + int(sound[0]) - TRIM_MARGIN_SLOTS)
            self._sound_ends = first + int(sound[-1]) + 1 + TRIM_MARGIN_SLOTS

    def _rest_samples(self, whole_slots: int) -> int:
        """Samples of the slot at the end that is not whole."""
        if not self._shape.trims_silence:
            return self._n_samples - whole_slots * SLOT_SAMPLES
        if not self._sound_ends:
            # Nothing but silence: the shortest that there is.
            return min(self._n_samples, SLOT_SAMPLES)
        if self._sound_ends <= whole_slots:
            return 0
        return self._n_samples - whole_slots * SLOT_SAMPLES

    def _open_file(self) -> RecordedFile:
        if self._file is None:
            self._file = RecordedFile(self._part, self._audio.channels, self._shape)
        return self._file


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Schedule:
    """
    Decides which recording gets the next slice.

    A finish that one slice completes goes first; then spools that are due, each at
    its own phase of the second; long finishes (never followed, or the process died)
    share the time with these, shortest first.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, str]] = []
        self._tickets: dict[str, int] = {}
        self._finishing: dict[str, Remaining] = {}
        self._n_tickets = 0
        self._long_finish_next = False

    def follow(self, name: str, now: float) -> None:
        """Look at `name` every `PERIOD_S`, from somewhere within the next one on."""
        # Multiples of the golden ratio spread evenly, however many come at once.
        self._put(name, now + PERIOD_S * (self._n_tickets * _GOLDEN % 1.0))

    def finish(self, name: str, recording: Remaining) -> None:
        """From now on only the end of `recording` matters; its length is set."""
        self.forget(name)
        self._finishing[name] = recording

    def forget(self, name: str) -> None:
        """Drop a recording, followed, finishing or unknown."""
        self._finishing.pop(name, None)
        self._tickets.pop(name, None)

    def next_due(self) -> float | None:
        """When there is something to do (0.0: now), or `None`."""
        if self._finishing:
            return 0.0
        self._drop_stale()
        return self._due[0][0] if self._due else None

    def next_finish(self, now: float) -> str | None:
        """The finish that deserves the next slice, if a finish does."""
        if not self._finishing:
            return None
        name = min(self._finishing, key=lambda name: self._finishing[name].remaining_slots())
        if self._finishing[name].remaining_slots() <= SLICE_SLOTS:
            return name
        self._drop_stale()
        follow_is_due = bool(self._due) and self._due[0][0] <= now
        self._long_finish_next = not self._long_finish_next
        return name if self._long_finish_next or not follow_is_due else None

    def next_follow(self, now: float) -> str | None:
        """The followed recording that is due at `now`; the next look is arranged."""
        self._drop_stale()
        if not self._due or self._due[0][0] > now:
            return None
        due, _ticket, name = heapq.heappop(self._due)
        # Kept in its phase, but not made up for when it is late.
        missed = max(0, int((now - due) / PERIOD_S))
        self._put(name, due + (missed + 1) * PERIOD_S)
        return name

    def again(self, name: str, now: float) -> None:
        """`name` is behind: look again as soon as those that are due had their turn."""
        if name in self._tickets:
            self._put(name, now)

    def _put(self, name: str, due: float) -> None:
        self._n_tickets += 1
        self._tickets[name] = self._n_tickets
        heapq.heappush(self._due, (due, self._n_tickets, name))

    def _drop_stale(self) -> None:
        # An entry counts only while its ticket is the newest of that name.
        while self._due and self._tickets.get(self._due[0][2]) != self._due[0][1]:
            heapq.heappop(self._due)
