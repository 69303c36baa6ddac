"""Sealed taps: their audio is sealed here, in the worker's memory, before anybody sees it.

A sealed row of the arena is a log instead of slots: its header (`recordings.sealed`) lies in the
row's presence bytes, its boxes one behind the other in the row's audio bytes, which they go round.
`clock` counts the bytes at which the oldest whole box begins, `clean_slots` those at which the
newest ends. With packets of 20 ms a row holds eight seconds.
"""

from __future__ import annotations

import ctypes
import resource
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voiceblocks.engine.media.ring import RING_BYTES, Arena
from voiceblocks.errors import StoreError
from voiceblocks.recordings.sealed import (
    HEAD_BYTES,
    HEADER_BYTES,
    MAX_BOX_SAMPLES,
    BoxHead,
    BoxKind,
    begin,
    seal,
)
from voiceblocks.recordings.sealed_spool import SealedSpoolWriter, mark_present

_PR_SET_DUMPABLE = 4

Bytes = npt.NDArray[np.uint8]

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True, eq=False)
class Sealing:
    """What a sealed tap knows; whoever has the key can hear the recording."""

    key: bytes = field(repr=False)
    next_index: int = 0
    present: bytearray = field(default_factory=bytearray)
    "Of each slot whether audio came."


def start_sealing(arena: Arena, row: int, public_key: bytes) -> Sealing:
    """Begin a sealed recording in a row whose time zero is set."""
    forbid_dumps()
    header, key = begin(public_key, arena.law_of(row), int(arena.headers[row]["zero_us"]))
    arena.presence[row, :HEADER_BYTES] = np.frombuffer(header, np.uint8)
    sealing = Sealing(key)
    _append(arena, row, sealing, BoxKind.BEGIN, 0)
    return sealing


def place_sealed(arena: Arena, row: int, sealing: Sealing, start: int, payload: bytes) -> None:
    """Seal a payload at a sample position, at once."""
    for offset in range(0, len(payload), MAX_BOX_SAMPLES):
        piece = payload[offset : offset + MAX_BOX_SAMPLES]
        _append(arena, row, sealing, BoxKind.AUDIO, start + offset, piece)
    header = arena.headers[row]
    header["present"] += mark_present(sealing.present, start, start + len(payload))
    header["placed"] = max(int(header["placed"]), start + len(payload))


def end_sealed(arena: Arena, row: int, sealing: Sealing, n_samples: int) -> None:
    """Say where the recording ends: what lies behind that is no part of it."""
    _append(arena, row, sealing, BoxKind.END, n_samples)


def forbid_dumps() -> None:
    """No core dump and no debugger of the same user may see what this process hears."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _append(
    arena: Arena, row: int, sealing: Sealing, kind: BoxKind, position: int, payload: bytes = b""
) -> None:
    box = seal(sealing.key, sealing.next_index, kind, position, payload)
    sealing.next_index += 1
    header, ring = arena.headers[row], arena.audio[row]
    oldest, newest = int(header["clock"]), int(header["clean_slots"])
    while newest + len(box) - oldest > RING_BYTES:
        # Nobody took it for eight seconds.
        oldest += BoxHead.parse(_read(ring, oldest, oldest + HEAD_BYTES)).n_bytes
    # Before it is overwritten: a reader looks at this again after it has copied.
    header["clock"] = oldest
    data = np.frombuffer(box, np.uint8)
    offset = newest % RING_BYTES
    head = min(len(data), RING_BYTES - offset)
    ring[offset : offset + head] = data[:head]
    ring[: len(data) - head] = data[head:]
    header["clean_slots"] = newest + len(box)


def _read(ring: Bytes, start: int, end: int) -> bytes:
    offset = start % RING_BYTES
    after = offset + end - start
    return ring[offset:after].tobytes() + ring[: max(0, after - RING_BYTES)].tobytes()


@dataclass(slots=True)
class SealedRow:
    """A sealed row and the spool that it goes to; see `keeper.KeptRow`."""

    arena: Arena
    row: int
    name: str
    spool: SealedSpoolWriter
    broken: bool = False
    "The disk refused; what the ring still holds is tried again."
    _taken: int = 0
    "Bytes of the log that are in the spool."

    @property
    def n_written_samples(self) -> int:
        """Samples that the spool has."""
        return self.spool.extent.n_samples

    def append_settled(self) -> None:
        """Append all boxes that are there: none of them changes any more."""
        try:
            self._append()
        except StoreError:
            self.broken = True
        else:
            self.broken = False

    def complete(self, n_samples: int | None) -> int:
        """
        Append what is left; return the length.

        Raises:
            StoreError: When the disk does not take it; this may be tried again.
        """
        self._append()
        self.broken = False
        self.spool.finish()
        return self.spool.extent.n_samples if n_samples is None else n_samples

    def _append(self) -> None:
        header, ring = self.arena.headers[self.row], self.arena.audio[self.row]
        newest = int(header["clean_slots"])
        if not newest:
            return
        self.spool.begin(self.arena.presence[self.row, :HEADER_BYTES].tobytes())
        start = max(self._taken, int(header["clock"]))
        data = _read(ring, start, newest)
        # What the worker has overwritten meanwhile is gone.
        lost = max(0, int(header["clock"]) - start)
        offset = lost = min(lost, len(data))
        # What an earlier keeper has written already.
        while offset < len(data):
            head = BoxHead.parse(data, offset)
            if head.index >= self.spool.extent.next_index:
                break
            offset += head.n_bytes
        if offset < len(data):
            self.spool.append(data[offset:])
        self._taken = newest
