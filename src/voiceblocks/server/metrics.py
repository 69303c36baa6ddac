"""What `/metrics` tells of a node as a whole; its parts have collectors of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.database import due_notifications
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import VoiceblocksError
from voiceblocks.recordings.store_task import StoreTaskKind
from voiceblocks.workflows.finish_recording import FinishRecording
from voiceblocks.workflows.settle_stores import SettleStores


@dataclass(frozen=True, slots=True)
class NodeMetrics(Collector):
    """
    Read at the scrape, in a thread: the disk and the database may take their time.

    A family that cannot be read is left out.
    """

    node: str
    database: Database
    data_dir: Path
    spools: Path
    render: RenderPool
    finish_recording: FinishRecording
    stores: SettleStores
    not_ready_because: Callable[[], Sequence[str]]

    def collect(self) -> Iterator[Metric]:
        """A family each."""
        facts = {"version": version("voiceblocks"), "node": self.node}
        yield InfoMetricFamily("voiceblocks", "Which version this is, and which node.", facts)
        yield GaugeMetricFamily(
            "voiceblocks_ready",
            "Whether the node takes new calls and requests.",
            float(not self.not_ready_because()),
        )
        yield from self._recordings()
        try:
            waiting = self.database.run_sync(due_notifications.count_pending)
            disk = shutil.disk_usage(self.data_dir)
        except (VoiceblocksError, OSError):
            return
        yield GaugeMetricFamily(
            "voiceblocks_notifications_waiting", "Notifications that are not settled.", waiting
        )
        yield GaugeMetricFamily(
            "voiceblocks_disk_free_bytes", "Room left where the data folder is.", disk.free
        )
        yield GaugeMetricFamily("voiceblocks_disk_size_bytes", "All of that disk.", disk.total)

    def _recordings(self) -> Iterator[Metric]:
        outcomes = CounterMetricFamily(
            "voiceblocks_recordings",
            "Recordings that ended, by whether they were ready in time.",
            labels=["outcome"],
        )
        outcomes.add_metric(["ready"], self.finish_recording.n_ready)
        outcomes.add_metric(["given_up"], self.finish_recording.n_given_up)
        yield outcomes
        yield GaugeMetricFamily(
            "voiceblocks_spools",
            "Files of recordings in the making, and of those that could not be finished yet.",
            sum(1 for _ in self.spools.iterdir()),
        )
        yield GaugeMetricFamily(
            "voiceblocks_encoder_following",
            "Recordings that are encoded while they grow.",
            self.render.n_followed,
        )
        yield GaugeMetricFamily(
            "voiceblocks_encoder_finishing",
            "Recordings whose end waits for the encoder.",
            self.render.n_finishing,
        )
        tasks = GaugeMetricFamily(
            "voiceblocks_store_tasks",
            "Recordings that a store has still to take or to let go.",
            labels=["task"],
        )
        for kind in StoreTaskKind:
            tasks.add_metric([kind.value], self.stores.n_waiting(kind))
        yield tasks
