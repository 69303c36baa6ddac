"""After a crash: completes spools from the rings that outlived the processes.

Run before `MediaPlane.start` makes new arenas. Idempotent: what was salvaged is noted in the
spool's header and the row is released.
"""

from __future__ import annotations

from pathlib import Path

from voiceblocks.engine.media.keeper import KeptRow
from voiceblocks.engine.media.ring import NAME_BYTES, Arena, RowState
from voiceblocks.errors import StartupError, StoreError
from voiceblocks.recordings.spool import SLOT_SAMPLES, SpoolWriter, open_spool

ARENA_SUFFIX = ".arena"
SPOOL_SUFFIX = ".spool"


def spool_path(spool_dir: Path, name: str) -> Path:
    """Where the spool of a recording lies."""
    return spool_dir / f"{name}{SPOOL_SUFFIX}"


def salvage(ring_dir: Path, spool_dir: Path) -> dict[str, int]:
    """
    Complete what a crash left behind.

    Returns:
        For each spool in `spool_dir` its name and its length in samples: exact where its
        ring row or its header tells, else whole slots. Finished ones are included.
    """
    found: dict[str, int] = {}
    for path in sorted(ring_dir.glob(f"*{ARENA_SUFFIX}")):
        try:
            arena = Arena.open(path)
        except StartupError:
            # Cut short while it was made: no row of it was ever in use.
            continue
        for row in range(arena.n_rows):
            if int(arena.headers[row]["state"]) in (RowState.ACTIVE, RowState.CLOSED):
                name = arena.name_of(row)
                n_samples = _complete(arena, row, name, spool_dir)
                if n_samples is not None:
                    found[name] = n_samples
                    arena.release(row)
    for path in sorted(spool_dir.glob(f"*{SPOOL_SUFFIX}")):
        name = path.name.removesuffix(SPOOL_SUFFIX)
        if name not in found:
            length = _length_of(path)
            if length is not None:
                found[name] = length
    return found


def _complete(arena: Arena, row: int, name: str, spool_dir: Path) -> int | None:
    if not name or len(name) > NAME_BYTES or Path(name).name != name:
        return None
    try:
        spool = SpoolWriter(spool_path(spool_dir, name), arena.law_of(row))
        try:
            return KeptRow(arena, row, name, spool).complete(None)
        finally:
            spool.close()
    except StoreError:
        return None


def _length_of(path: Path) -> int | None:
    try:
        with open_spool(path) as reader:
            n_final = reader.n_final()
            return reader.n_slots() * SLOT_SAMPLES if n_final is None else n_final
    except StoreError:
        return None
