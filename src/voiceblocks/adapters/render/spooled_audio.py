"""What is encoded: the samples of one spool, or of two side by side, while they grow.

Slots are counted from time zero of the (first) spool. Two spools of one call have time zeros
some milliseconds apart, each exact: the second is moved by the difference, to the sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from voiceblocks.audio.codecs import codec_named
from voiceblocks.errors import StoreError
from voiceblocks.recordings.spool import HEADER_BYTES, SLOT_SAMPLES, SpoolReader, open_spool

RATE_HZ = 8000

Samples = npt.NDArray[np.int16]


class SpooledAudio(Protocol):
    """A source of audio that may still grow. Close it."""

    channels: int

    def open(self) -> None:
        """
        Open what is not open yet, of a call that goes on.

        Raises:
            StoreError: When it is not there yet, or is something else.
        """
        ...

    def open_complete(self) -> None:
        """
        Open a recording that is over.

        Raises:
            StoreError: When it is not there, or is something else.
        """
        ...

    def n_slots(self) -> int:
        """Slots that are there now."""
        ...

    def samples(self, first_slot: int, count: int) -> Samples:
        """Of `count` slots, `(n,)` or `(n, 2)`; what is not there is silence."""
        ...

    def absent_slots(self, first_slot: int, count: int) -> int:
        """In how many of these slots nothing came from the caller."""
        ...

    def paused_slots(self, first_slot: int, count: int) -> int:
        """In how many of these slots the recording was paused."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class OneSpool:
    """The caller alone."""

    channels = 1

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: SpoolReader | None = None

    def open(self) -> None:
        """See `SpooledAudio`."""
        if self._reader is None:
            self._reader = open_spool(self._path)

    def open_complete(self) -> None:
        """See `SpooledAudio`."""
        self.open()

    def n_slots(self) -> int:
        """See `SpooledAudio`."""
        assert self._reader is not None
        return self._reader.n_slots()

    def samples(self, first_slot: int, count: int) -> Samples:
        """See `SpooledAudio`."""
        assert self._reader is not None
        return _decode(self._reader, first_slot, count)

    def absent_slots(self, first_slot: int, count: int) -> int:
        """See `SpooledAudio`."""
        return _absent(self._reader, first_slot, count)

    def paused_slots(self, first_slot: int, count: int) -> int:
        """See `SpooledAudio`."""
        return _paused(self._reader, first_slot, count)

    def close(self) -> None:
        """See `SpooledAudio`."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class TwoSpools:
    """
    The caller on the left, what they heard on the right.

    Of a recording that is over one of the two may be missing (a crash can come between
    the making of both): its channel is silent.
    """

    channels = 2

    def __init__(self, left: Path, right: Path) -> None:
        self._paths = left, right
        self._readers: list[SpoolReader | None] = [None, None]
        self._right_begins = 0

    def open(self) -> None:
        """See `SpooledAudio`."""
        self._open((0, 1))
        self._align()

    def open_complete(self) -> None:
        """See `SpooledAudio`."""
        there = [side for side in (0, 1) if not _is_missing(self._paths[side])]
        # Where neither is, the left one says so.
        self._open(there or [0])
        self._align()

    def n_slots(self) -> int:
        """See `SpooledAudio`; slots that both have."""
        left, right = self._readers
        assert left is not None
        assert right is not None
        return min(left.n_slots(), right.n_slots() + self._right_begins // SLOT_SAMPLES)

    def samples(self, first_slot: int, count: int) -> Samples:
        """See `SpooledAudio`."""
        out = np.zeros((count * SLOT_SAMPLES, 2), np.int16)
        left, right = self._readers
        if left is not None:
            out[:, 0] = _decode(left, first_slot, count)
        if right is not None:
            start = first_slot * SLOT_SAMPLES - self._right_begins
            # Python rounds down, also below zero: this is where the slot begins that holds it.
            first, skipped = divmod(start, SLOT_SAMPLES)
            moved = _decode(right, first, count + 1)
            out[:, 1] = moved[skipped : skipped + len(out)]
        return out

    def absent_slots(self, first_slot: int, count: int) -> int:
        """See `SpooledAudio`."""
        return _absent(self._readers[0], first_slot, count)

    def paused_slots(self, first_slot: int, count: int) -> int:
        """See `SpooledAudio`."""
        return _paused(self._readers[0], first_slot, count)

    def close(self) -> None:
        """See `SpooledAudio`."""
        for reader in self._readers:
            if reader is not None:
                reader.close()
        self._readers = [None, None]

    def _open(self, sides: tuple[int, ...] | list[int]) -> None:
        for side in sides:
            if self._readers[side] is None:
                self._readers[side] = open_spool(self._paths[side])

    def _align(self) -> None:
        left, right = self._readers
        if left is None or right is None:
            return
        # Read again: the header that a spool is made with does not know it yet.
        zeros_s = left.read_header().zero_s, right.read_header().zero_s
        if 0.0 not in zeros_s:
            self._right_begins = round((zeros_s[1] - zeros_s[0]) * RATE_HZ)


def _decode(reader: SpoolReader, first_slot: int, count: int) -> Samples:
    before = min(max(0, -first_slot), count)
    payload = reader.payload(first_slot + before, count - before)
    samples = codec_named(reader.law).decode(payload)
    if before == 0:
        return samples
    return np.concatenate((np.zeros(before * SLOT_SAMPLES, np.int16), samples))


def _absent(reader: SpoolReader | None, first_slot: int, count: int) -> int:
    if reader is None:
        return count
    return count - int(np.count_nonzero(reader.presence(first_slot, count)))


def _paused(reader: SpoolReader | None, first_slot: int, count: int) -> int:
    return 0 if reader is None else int(np.count_nonzero(reader.paused(first_slot, count)))


def _is_missing(path: Path) -> bool:
    """Whether there is no spool, or one that has not even its header."""
    try:
        return path.stat().st_size < HEADER_BYTES
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StoreError(f"spool {path.name} cannot be looked at") from error
