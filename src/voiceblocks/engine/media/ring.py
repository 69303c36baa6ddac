"""The arena of recording rings that a worker writes and the keeper reads (decision 16).

One file on tmpfs for each worker, so that it survives `kill -9` of any process. Decision 16
speaks of a ring for each call: here a *row* of one file is that ring, so that a whole tick is
written by one fancy assignment, and one mapping serves all calls.

A row holds the last `RING_SLOTS` slots of 20 ms (10.24 s) of one tap: headers in one
structured array, presence in a second, G.711 in a third. Slot `s` lies at `s % RING_SLOTS`.

Who owns a row: FREE rows belong to the control process, which resets one (clean audio, name,
law, state ARMED) before it sends `OpenTap` and `KeepRow`. From then on the worker writes
time zero, audio, presence, `clock` and `clean_slots`, until it sent `TapClosed`; the keeper
only reads, and sets state FREE when it has flushed and released the row. A worker that died
writes no more, so the keeper may flush at any time.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voiceblocks.errors import StartupError
from voiceblocks.recordings.spool import SILENCE_BYTE, SLOT_SAMPLES

RING_SLOTS = 512
RING_BYTES = RING_SLOTS * SLOT_SAMPLES
SETTLED_SLOTS = 25
"What is older than 500 ms does not change any more (late packets, the finishing key)."

LAWS = ("PCMU", "PCMA")
_SEALED = 2
"With a row's law: the row holds sealed boxes (see `sealing`), not slots."
_SILENCE = np.array([SILENCE_BYTE[law] for law in LAWS], np.uint8)

_MAGIC = 0x56424152_00000001
_PAGE = 4096
_MADV_POPULATE_WRITE = 23
NAME_BYTES = 96

HEADER = np.dtype(
    [
        ("state", "<u4"),
        ("law", "<u4"),
        ("zero_s", "<f8"),
        ("zero_us", "<i8"),
        ("clock", "<i8"),
        ("placed", "<i8"),
        ("clean_slots", "<i8"),
        ("n_final", "<i8"),
        ("present", "<i8"),
        ("name", f"S{NAME_BYTES}"),
    ],
    align=False,
)
"""
`zero_s`, `zero_us`: time zero (monotonic seconds, UTC microseconds).
`clock`: sample position of the worker's last tick. `placed`: end of the audio placed last.
`clean_slots`: slots below it are silence or audio of this round, not of the round before.
`n_final`: samples in all, -1 while open. `present`: slots that hold audio.
"""


class RowState(IntEnum):
    """See the module's paragraph on ownership."""

    FREE = 0
    ARMED = 1
    ACTIVE = 2
    CLOSED = 3


def arena_bytes(n_rows: int) -> int:
    """Size of an arena file."""
    return _PAGE + _rounded(n_rows * HEADER.itemsize) + n_rows * (RING_SLOTS + RING_BYTES)


def rows_for(n_legs: int) -> int:
    """Rows that so many legs need: a tap outlives its leg until it is flushed."""
    return n_legs + n_legs // 8 + 8


def _rounded(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


class Arena:
    """
    A mapped arena; made by `create` or `open`.

    `headers`: HEADER, `(n_rows,)`. `presence`: uint8, `(n_rows, RING_SLOTS)`.
    `audio`: uint8, `(n_rows, RING_BYTES)`. All are views of the shared mapping.
    """

    def __init__(self, path: Path, mapping: mmap.mmap, n_rows: int) -> None:
        self.path = path
        self.n_rows = n_rows
        self._mapping = mapping
        raw = np.frombuffer(mapping, np.uint8)
        start = _PAGE
        self.headers = raw[start : start + n_rows * HEADER.itemsize].view(HEADER)
        start += _rounded(n_rows * HEADER.itemsize)
        end = start + n_rows * RING_SLOTS
        self.presence = raw[start:end].reshape(n_rows, RING_SLOTS)
        self.flat_audio = raw[end : end + n_rows * RING_BYTES]
        self.audio = self.flat_audio.reshape(n_rows, RING_BYTES)
        self.slots = self.flat_audio.reshape(n_rows, RING_SLOTS, SLOT_SAMPLES)

    @classmethod
    def create(cls, path: Path, n_rows: int) -> Arena:
        """
        Make a fresh arena file, with its memory reserved (a full tmpfs would kill a writer).

        Raises:
            StartupError: When there is not enough room.
        """
        size = arena_bytes(n_rows)
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            mapping = mmap.mmap(fd, size)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StartupError(
                f"{path.parent} has no room for {size >> 20} MiB of recording rings: give it "
                "more shared memory (docker run --shm-size) or lower the number of calls"
            ) from error
        finally:
            os.close(fd)
        np.frombuffer(mapping, "<u8", 2)[:] = (_MAGIC, n_rows)
        return cls(path, mapping, n_rows)

    @classmethod
    def open(cls, path: Path) -> Arena:
        """
        Map an existing arena.

        Raises:
            StartupError: When it is no arena, or of another version.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise StartupError(f"arena {path} cannot be opened") from error
        try:
            size = os.fstat(fd).st_size
            if size < _PAGE:
                raise StartupError(f"{path} is no arena")
            mapping = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        magic, n_rows = (int(value) for value in np.frombuffer(mapping, "<u8", 2))
        if magic != _MAGIC or arena_bytes(n_rows) != size:
            raise StartupError(f"{path} is no arena")
        return cls(path, mapping, n_rows)

    def prefault(self) -> None:
        """Map every page now, so that no tick has to; may take some 10 ms (Linux 5.14)."""
        with contextlib.suppress(OSError, ValueError):
            self._mapping.madvise(_MADV_POPULATE_WRITE)

    def reset(self, row: int, name: str, law: str, *, sealed: bool = False) -> None:
        """
        Make a FREE row clean and ARMED for a new tap (80 KiB are written: some microseconds).

        Args:
            row: Its index.
            name: Name of its spool; ASCII, at most `NAME_BYTES` long.
            law: `"PCMU"` or `"PCMA"`.
            sealed: Whether it shall hold boxes.
        """
        code = LAWS.index(law)
        self.presence[row] = 0
        self.audio[row] = _SILENCE[code]
        header = self.headers[row]
        header["law"] = code | _SEALED if sealed else code
        for field in ("zero_s", "zero_us", "clock", "placed", "present"):
            header[field] = 0
        header["clean_slots"] = 0 if sealed else RING_SLOTS
        header["n_final"] = -1
        header["name"] = name.encode("ascii")
        header["state"] = RowState.ARMED

    def release(self, row: int) -> None:
        """Hand a row back as FREE."""
        self.headers[row]["state"] = RowState.FREE

    def name_of(self, row: int) -> str:
        """Name of the spool that a row belongs to."""
        return bytes(self.headers[row]["name"]).decode("ascii", "replace")

    def law_of(self, row: int) -> str:
        """`"PCMU"` or `"PCMA"`."""
        return LAWS[int(self.headers[row]["law"]) & 1]

    def is_sealed(self, row: int) -> bool:
        """Whether a row holds sealed boxes."""
        return bool(int(self.headers[row]["law"]) & _SEALED)

    def records(self, row: int, first_slot: int, end_slot: int) -> npt.NDArray[np.uint8]:
        """
        Copy slots as records of a spool: uint8, `(n, 161)`, presence byte first.

        What the ring does not hold any more (or not yet) is absent.
        """
        out = np.zeros((max(0, end_slot - first_slot), 1 + SLOT_SAMPLES), np.uint8)
        clean = int(self.headers[row]["clean_slots"])
        oldest = max(first_slot, clean - RING_SLOTS)
        wanted = np.arange(oldest, max(oldest, min(end_slot, clean)))
        index = wanted % RING_SLOTS
        part = out[oldest - first_slot :][: len(wanted)]
        part[:, 0] = self.presence[row, index]
        part[:, 1:] = self.slots[row, index]
        # What the worker cleaned for its next round meanwhile is gone.
        part[wanted < int(self.headers[row]["clean_slots"]) - RING_SLOTS] = 0
        return out

    def close(self) -> None:
        """Forget the views; the mapping goes with the last of them."""
        del self.headers, self.presence, self.audio, self.flat_audio, self.slots


def silence_bytes() -> npt.NDArray[np.uint8]:
    """The silence byte of each law, in the order of `LAWS`: uint8, `(2,)`."""
    return _SILENCE
