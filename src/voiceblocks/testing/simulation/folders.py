"""Where the files of a simulation lie."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

from voiceblocks.engine.media.ring import arena_bytes, rows_for

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
_SPARE_BYTES = 1 << 28


def memory_folder(calls: int) -> str | None:
    """Where files cost no disk: shared memory, if it has room to spare; else the usual place."""
    needed = 4 * arena_bytes(rows_for(calls * 2)) + _SPARE_BYTES
    try:
        has_room = shutil.disk_usage(_SHARED_MEMORY).free > needed
    except OSError:
        return None
    return _SHARED_MEMORY if has_room and os.access(_SHARED_MEMORY, os.W_OK) else None


@functools.cache
def prompts_folder() -> Path:
    """One cache for all simulations of this process: its entries depend on their content alone."""
    folder = tempfile.mkdtemp(prefix="voiceblocks-prompts-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
