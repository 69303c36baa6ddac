"""The spool of a sealed recording: the sealed file itself, as it grows (see `sealed`).

Who writes it and who finishes it cannot read it: the heads of the boxes, which are in clear, say
all that is needed to go on after a crash and to know how long the recording is.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

from voiceblocks.errors import StoreError
from voiceblocks.recordings.errors import SealedRecordingDamaged
from voiceblocks.recordings.sealed import HEADER_BYTES, BoxKind, SealedHeader, heads
from voiceblocks.recordings.spool import SLOT_SAMPLES


@dataclass(slots=True)
class SealedExtent:
    """How far a sealed file goes, as its heads say."""

    n_bytes: int = HEADER_BYTES
    "To the end of its last whole box."
    next_index: int = 0
    n_placed: int = 0
    "Samples to the end of what was placed last."
    n_final: int | None = None
    "Exact length in samples, where it says its end."

    @property
    def n_samples(self) -> int:
        """Samples in all."""
        return self.n_placed if self.n_final is None else self.n_final

    def take(self, data: memoryview, offset: int) -> None:
        """Go on over the boxes of `data` from `offset` on."""
        start = offset
        for at, head in heads(data, offset):
            if head.index < self.next_index:
                raise SealedRecordingDamaged("The boxes of a sealed recording are out of order.")
            self.next_index = head.index + 1
            if head.kind == BoxKind.AUDIO:
                self.n_placed = max(self.n_placed, head.position + head.size)
            elif head.kind == BoxKind.END:
                self.n_final = head.position
            offset = at + head.n_bytes
        self.n_bytes += offset - start


@dataclass(frozen=True, slots=True)
class SealedFacts:
    """What is known of a sealed file without its key."""

    header: SealedHeader
    extent: SealedExtent
    absent_ms: int
    "For which no audio came, up to its end."


def read_sealed(path: Path) -> SealedFacts:
    """
    Look through a sealed file. Takes a second for each million boxes (some hours).

    Raises:
        StoreError: When it cannot be read, or is something else.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header = SealedHeader.parse(data[:HEADER_BYTES])
            extent = SealedExtent()
            with memoryview(data) as view:
                extent.take(view, HEADER_BYTES)
                present = _present_slots(view, extent.n_samples)
    except (OSError, ValueError) as error:
        raise StoreError(f"sealed spool {path.name} cannot be read") from error
    absent = -(-extent.n_samples // SLOT_SAMPLES) - present
    return SealedFacts(header, extent, absent * 20)


def read_sealed_header(path: Path) -> SealedHeader:
    """
    Read the header alone.

    Raises:
        StoreError: When it cannot be read, or is something else.
    """
    try:
        with path.open("rb") as file:
            return SealedHeader.parse(file.read(HEADER_BYTES))
    except OSError as error:
        raise StoreError(f"sealed spool {path.name} cannot be read") from error


def _present_slots(view: memoryview, n_samples: int) -> int:
    present = bytearray()
    n_present = 0
    for _offset, head in heads(view):
        if head.kind == BoxKind.AUDIO:
            n_present += mark_present(
                present, head.position, min(head.position + head.size, n_samples)
            )
    return n_present


def mark_present(present: bytearray, start: int, end: int) -> int:
    """
    Note that samples `start` to `end` came: one byte for each slot; grown where needed.

    Returns:
        In how many slots nothing had come before.
    """
    first, after = start // SLOT_SAMPLES, -(-end // SLOT_SAMPLES)
    if after > len(present):
        present.extend(bytes(after - len(present)))
    n_new = 0
    for slot in range(first, after):
        n_new += not present[slot]
        present[slot] = 1
    return n_new


class SealedSpoolWriter:
    """
    The one writer of a sealed spool. An existing file is continued after its last whole box.

    Never syncs by itself: use `fileno` for that.

    Args:
        path: The file; empty until `begin`.

    Raises:
        StoreError: When the file cannot be made, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.extent = SealedExtent()
        self.has_header = False
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"spool {path.name} cannot be written") from error
        try:
            if os.fstat(self._fd).st_size >= HEADER_BYTES:
                self._continue()
        except (OSError, ValueError) as error:
            os.close(self._fd)
            raise StoreError(f"spool {path.name} cannot be written") from error
        except StoreError:
            os.close(self._fd)
            raise

    def _continue(self) -> None:
        with mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
            SealedHeader.parse(data[:HEADER_BYTES])
            self.extent.take(view, HEADER_BYTES)
        self.has_header = True

    def fileno(self) -> int:
        """For syncing."""
        return self._fd

    def begin(self, header: bytes) -> None:
        """
        Write the header, once.

        Raises:
            StoreError: When the disk is full or broken.
        """
        if not self.has_header:
            self._write(header, 0)
            self.has_header = True

    def append(self, boxes: bytes) -> None:
        """
        Append whole boxes.

        Raises:
            StoreError: When the disk is full or broken; the file keeps its whole boxes.
        """
        self._write(boxes, self.extent.n_bytes)
        self.extent.take(memoryview(boxes), 0)

    def finish(self) -> None:
        """Cut off what is no whole box."""
        try:
            os.ftruncate(self._fd, self.extent.n_bytes if self.has_header else 0)
        except OSError as error:
            raise StoreError(f"spool {self.path.name} cannot be finished") from error

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._fd, view, offset)
                offset += written
                view = view[written:]
        except OSError as error:
            raise StoreError(f"spool {self.path.name} cannot be written") from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
