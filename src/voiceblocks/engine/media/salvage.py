"""After a crash: completes spools from the rings that outlived the processes.

Run before `MediaPlane.start` makes new arenas. Idempotent: what was salvaged is noted in the
spool's header and the row is released. An arena goes when all of it is salvaged. Where the disk
does not take it there is no start: a fresh arena in its place would be the end of the audio.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from voiceblocks.engine.media.keeper import keep_row
from voiceblocks.engine.media.ring import NAME_BYTES, Arena, RowState
from voiceblocks.errors import StartupError, StoreError
from voiceblocks.recordings.sealed_spool import read_sealed
from voiceblocks.recordings.spool import SLOT_SAMPLES, open_spool

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

    Raises:
        StartupError: When the disk does not take what the rings hold; nothing is lost by it.
    """
    found: dict[str, int] = {}
    for path in sorted(ring_dir.glob(f"*{ARENA_SUFFIX}")):
        try:
            arena = Arena.open(path)
        except StartupError:
            # Cut short while it was made: no row of it was ever in use.
            continue
        is_complete = True
        for row in range(arena.n_rows):
            name = arena.name_of(row)
            if not _is_in_use(arena, row, name):
                continue
            try:
                found[name] = _complete(arena, row, name, spool_dir)
            except StoreError as error:
                if isinstance(error.__cause__, OSError):
                    raise StartupError(
                        f"What a crash left in {path} cannot be written to {spool_dir} "
                        f"({error.__cause__.strerror}). Make room there, then start again."
                    ) from error
                # Its spool is damaged; what the ring holds is for the operator.
                is_complete = False
            else:
                arena.release(row)
        arena.close()
        if is_complete:
            path.unlink(missing_ok=True)
        else:
            path.rename(ring_dir / f"damaged-{uuid.uuid4().hex}{ARENA_SUFFIX}.kept")
    for path in sorted(spool_dir.glob(f"*{SPOOL_SUFFIX}")):
        name = path.name.removesuffix(SPOOL_SUFFIX)
        if name not in found:
            length = _length_of(path)
            if length is not None:
                found[name] = length
    return found


def _is_in_use(arena: Arena, row: int, name: str) -> bool:
    if int(arena.headers[row]["state"]) not in (RowState.ACTIVE, RowState.CLOSED):
        return False
    return bool(name) and len(name) <= NAME_BYTES and Path(name).name == name


def _complete(arena: Arena, row: int, name: str, spool_dir: Path) -> int:
    kept = keep_row(arena, row, name, spool_path(spool_dir, name))
    try:
        return kept.complete(None)
    finally:
        kept.spool.close()


def _length_of(path: Path) -> int | None:
    try:
        with open_spool(path) as reader:
            n_final = reader.n_final()
            return reader.n_slots() * SLOT_SAMPLES if n_final is None else n_final
    except StoreError:
        pass
    try:
        # A sealed one is empty until the worker has begun it.
        return read_sealed(path).extent.n_samples if path.stat().st_size else 0
    except StoreError:
        return None
