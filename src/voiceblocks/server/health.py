"""How the node is, gathered from its parts for the console."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.console.handlers import Health, Registration, WorkerHealth
from voiceblocks.engine.call_engine import CallEngine
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.registrations import Registrations
from voiceblocks.recordings.store_task import StoreTaskKind
from voiceblocks.workflows.settle_stores import SettleStores


def health_of(
    engine: CallEngine,
    plane: MediaPlane,
    registrations: Registrations,
    data_dir: Path,
    not_ready_because: Callable[[], Sequence[str]],
    render: RenderPool,
    stores: SettleStores,
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
            registrations={
                one.trunk_id: Registration(one.state.value, one.reason, one.until_us)
                for one in registrations.standing
            },
            encoder_following=render.n_followed,
            encoder_finishing=render.n_finishing,
            to_upload=int(stores.n_waiting(StoreTaskKind.UPLOAD)),
            to_erase=int(stores.n_waiting(StoreTaskKind.ERASE)),
        )

    return tell
