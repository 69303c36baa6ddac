"""Spool v1: a recording in the making, as a file that only grows (decision 15).

Layout, little-endian: a header of `HEADER_BYTES`, then one record for each 20 ms slot
of wall-clock time since time zero: a presence byte (bit 0 is channel 0, bit 7 says that the
recording was paused) and, for each channel, 160 bytes of G.711. A torn last record is no
record. One law per file; an absent slot reads as silence of that law, whatever bytes it
holds (zero bytes are full-scale noise in u-law). The keeper process is the one writer;
anyone may read meanwhile.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from voiceblocks.audio.g711 import SILENCE
from voiceblocks.errors import ContractViolation, StoreError

SLOT_SAMPLES = 160
"20 ms at 8 kHz."
HEADER_BYTES = 64
SILENCE_BYTE = SILENCE
PAUSED = 0x80
"Presence byte of a slot in which the recording was paused: silence that nobody lost."
HEARD_SUFFIX = "-heard"
"Ends the name of a monitor's second spool, of what the caller heard."

_MAGIC = b"VBSPOOL\0"
_VERSION = 1
_LAW_CODES = {"PCMU": 0, "PCMA": 1}
_LAW_NAMES = {code: name for name, code in _LAW_CODES.items()}
_HEADER = struct.Struct("<8sHBBHxxqdq")

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SpoolHeader:
    """The fixed part of a spool."""

    law: str
    '`"PCMU"` or `"PCMA"`.'
    channels: int = 1
    zero_us: int = 0
    "Time zero, UTC microseconds."
    zero_s: float = 0.0
    "Time zero, seconds of CLOCK_MONOTONIC; means nothing after a reboot."
    n_final: int = -1
    "Samples in all, once the recording is over; -1 before."

    @classmethod
    def parse(cls, data: bytes) -> SpoolHeader:
        """
        Read the first `HEADER_BYTES` of a file.

        Raises:
            StoreError: When this is no spool of version 1.
        """
        if len(data) < HEADER_BYTES:
            raise StoreError("spool header is not complete yet")
        magic, version, channels, law, slot, zero_us, zero_s, n_final = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION or slot != SLOT_SAMPLES:
            raise StoreError("file is no spool of version 1")
        if law not in _LAW_NAMES or channels not in (1, 2):
            raise StoreError("spool header is damaged")
        return cls(_LAW_NAMES[law], channels, zero_us, zero_s, n_final)

    def serialize(self) -> bytes:
        """Return `HEADER_BYTES` bytes."""
        packed = _HEADER.pack(
            _MAGIC,
            _VERSION,
            self.channels,
            _LAW_CODES[self.law],
            SLOT_SAMPLES,
            self.zero_us,
            self.zero_s,
            self.n_final,
        )
        return packed.ljust(HEADER_BYTES, b"\0")

    @property
    def record_bytes(self) -> int:
        """Bytes on disk for each slot."""
        return 1 + SLOT_SAMPLES * self.channels


class SpoolReader:
    """
    Reads a spool while it grows. Made by `open_spool`; close it, or use `with`.

    All reads are positional, so one reader may be shared by threads.
    """

    def __init__(self, fd: int, header: SpoolHeader) -> None:
        self._fd = fd
        self.header = header
        self.law = header.law

    def n_slots(self) -> int:
        """Whole slots in the file now (its size is read again)."""
        return max(0, os.fstat(self._fd).st_size - HEADER_BYTES) // self.header.record_bytes

    def n_final(self) -> int | None:
        """Samples in all, or `None` while the recording goes on."""
        n_final = self.read_header().n_final
        return n_final if n_final >= 0 else None

    def read_header(self) -> SpoolHeader:
        """The header as it is now; `header` is what it was when the spool was opened."""
        return SpoolHeader.parse(os.pread(self._fd, HEADER_BYTES, 0))

    def payload(self, first_slot: int, count: int, channel: int = 0) -> Bytes:
        """
        Return `count * 160` bytes of G.711 of one channel: uint8, `(count * 160,)`.

        Absent slots, and slots beyond the end of the file, are silence.
        """
        records, present = self._records(first_slot, count)
        start = 1 + channel * SLOT_SAMPLES
        audio = np.full((count, SLOT_SAMPLES), SILENCE_BYTE[self.law], np.uint8)
        here = (present >> channel) & 1 == 1
        audio[: len(records)][here] = records[here, start : start + SLOT_SAMPLES]
        return audio.reshape(-1)

    def read_samples(self, start_slot: int, n_slots: int) -> Bytes:
        """The same as `payload` of channel 0."""
        return self.payload(start_slot, n_slots)

    def presence(self, first_slot: int, count: int) -> Bytes:
        """Presence bytes, uint8, `(count,)`; 0 beyond the end of the file."""
        _records, present = self._records(first_slot, count)
        out = np.zeros(count, np.uint8)
        out[: len(present)] = present
        return out

    def paused(self, first_slot: int, count: int) -> Bytes:
        """In which of these slots the recording was paused: 0 or more, uint8, `(count,)`."""
        return self.presence(first_slot, count) & np.uint8(PAUSED)

    def _records(self, first_slot: int, count: int) -> tuple[Bytes, Bytes]:
        size = self.header.record_bytes
        data = os.pread(self._fd, count * size, HEADER_BYTES + first_slot * size)
        records = np.frombuffer(data, np.uint8, len(data) // size * size).reshape(-1, size)
        return records, records[:, 0]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def open_spool(path: Path) -> SpoolReader:
    """
    Open a spool for reading.

    Raises:
        StoreError: When there is none, or it has no whole header yet, or it is something else.
            The keeper makes a spool some milliseconds after a recording was begun.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"spool {path.name} cannot be opened") from error
    try:
        return SpoolReader(fd, SpoolHeader.parse(os.pread(fd, HEADER_BYTES, 0)))
    except (OSError, StoreError):
        os.close(fd)
        raise


class SpoolWriter:
    """
    The one writer of a spool. An existing file is continued after its last whole slot.

    Never syncs by itself: use `fileno` for that.

    Args:
        path: The file.
        law: `"PCMU"` or `"PCMA"`; must be the same as before when continuing.
        channels: 1, or 2.

    Raises:
        StoreError: When the file cannot be made, or is something else.
    """

    def __init__(self, path: Path, law: str, channels: int = 1) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"spool {path.name} cannot be written") from error
        try:
            self._header = self._begin(SpoolHeader(law, channels))
        except OSError as error:
            os.close(self._fd)
            raise StoreError(f"spool {path.name} cannot be written") from error
        except StoreError:
            os.close(self._fd)
            raise

    def _begin(self, fresh: SpoolHeader) -> SpoolHeader:
        data = os.pread(self._fd, HEADER_BYTES, 0)
        if len(data) < HEADER_BYTES:
            os.pwrite(self._fd, fresh.serialize(), 0)
            self.n_slots = 0
            return fresh
        header = SpoolHeader.parse(data)
        if (header.law, header.channels) != (fresh.law, fresh.channels):
            raise StoreError(f"spool {self.path.name} has another law or channel count")
        size = os.fstat(self._fd).st_size
        self.n_slots = (size - HEADER_BYTES) // header.record_bytes
        return header

    @property
    def record_bytes(self) -> int:
        """Bytes for each slot in `append`."""
        return self._header.record_bytes

    def fileno(self) -> int:
        """For syncing."""
        return self._fd

    def set_zero(self, zero_us: int, zero_s: float) -> None:
        """
        Note time zero (UTC microseconds; monotonic seconds), once it is known.

        Raises:
            StoreError: When the disk is full or broken.
        """
        if self._header.zero_us == zero_us and self._header.zero_s == zero_s:
            return
        try:
            self._rewrite(zero_us, zero_s, self._header.n_final)
        except OSError as error:
            raise StoreError(f"spool {self.path.name} cannot be written") from error

    def append(self, records: Bytes) -> None:
        """
        Append whole slots.

        Args:
            records: uint8, C-contiguous, `(n, record_bytes)`: presence byte and payload.

        Raises:
            StoreError: When the disk is full or broken; the file keeps its whole slots.
        """
        if records.ndim != 2 or records.shape[1] != self.record_bytes:
            raise ContractViolation("spool records have the wrong shape")
        offset = HEADER_BYTES + self.n_slots * self.record_bytes
        view = records.data.cast("B")
        try:
            while view:
                written = os.pwrite(self._fd, view, offset)
                offset += written
                view = view[written:]
        except OSError as error:
            raise StoreError(f"spool {self.path.name} cannot be written") from error
        self.n_slots += len(records)

    def finish(self, n_samples: int) -> None:
        """Note the final length. Slots beyond it are cut off, missing ones become absent ones."""
        n_slots = -(-n_samples // SLOT_SAMPLES)
        try:
            if n_slots > self.n_slots:
                self.append(np.zeros((n_slots - self.n_slots, self.record_bytes), np.uint8))
            os.ftruncate(self._fd, HEADER_BYTES + n_slots * self.record_bytes)
            self.n_slots = n_slots
            self._rewrite(self._header.zero_us, self._header.zero_s, n_samples)
        except OSError as error:
            raise StoreError(f"spool {self.path.name} cannot be finished") from error

    def _rewrite(self, zero_us: int, zero_s: float, n_final: int) -> None:
        header = SpoolHeader(self._header.law, self._header.channels, zero_us, zero_s, n_final)
        os.pwrite(self._fd, header.serialize(), 0)
        self._header = header

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
