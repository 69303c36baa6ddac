"""How the node is, gathered from its parts for the console."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from voiceblocks.console.handlers import Health, WorkerHealth
from voiceblocks.engine.call_engine import CallEngine
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.registrations import Registrations


def health_of(
    engine: CallEngine,
    plane: MediaPlane,
    registrations: Registrations,
    data_dir: Path,
    not_ready_because: Callable[[], Sequence[str]],
) -> Callable[[], Health]:
    """Return a function that tells; it blocks for no longer than a look at the disk's table."""

    def tell() -> Health:
        stats, disk = plane.stats(), shutil.disk_usage(data_dir)
        workers = tuple(
            WorkerHealth(
                index=worker.index,
                is_up=worker.is_up,
                restarts=worker.restarts,
                legs=worker.legs,
                late_p99_ms=None
                if worker.latest is None
                else round(worker.latest.tick_late_p99_ms, 2),
            )
            for worker in stats.workers
        )
        return Health(
            not_ready_because=tuple(not_ready_because()),
            live_calls=engine.live_calls,
            rooms=engine.rooms,
            workers=workers,
            keeper_is_up=stats.keeper_is_up,
            rings_in_use=stats.rows_in_use,
            rings=stats.rows,
            disk_free_bytes=disk.free,
            disk_bytes=disk.total,
            dropped_strangers=engine.guard.dropped_strangers,
            dropped_too_fast=engine.guard.dropped_too_fast,
            registrations={name: str(state.value) for name, state in registrations.states.items()},
        )

    return tell
