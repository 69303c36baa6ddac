"""How the media workers are doing, for `/metrics`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from voiceblocks.engine.media.lateness import EDGES_MS
from voiceblocks.engine.media.plane import MediaPlane

_BOUNDS = (*(str(edge / 1000) for edge in EDGES_MS), "+Inf")


class MediaMetrics(Collector):
    """
    What each worker reported last, read at the scrape.

    Args:
        plane: Whose workers.
    """

    def __init__(self, plane: MediaPlane) -> None:
        self._plane = plane

    def collect(self) -> Iterator[Metric]:
        """A family each; those of packets begin again at 0 with a new worker process."""
        stats = self._plane.stats()
        legs = _gauge("voiceblocks_media_legs", "Open RTP legs of a media worker.")
        up = _gauge("voiceblocks_media_worker_up", "Whether a media worker runs.")
        busy = _gauge("voiceblocks_media_busy_ratio", "Share of the last second spent working.")
        restarts = CounterMetricFamily(
            "voiceblocks_media_worker_restarts",
            "How often a media worker was started again.",
            labels=["worker"],
        )
        packets = CounterMetricFamily(
            "voiceblocks_rtp_packets",
            "RTP packets by what became of them.",
            labels=["worker", "fate"],
        )
        late = HistogramMetricFamily(
            "voiceblocks_media_tick_late_seconds",
            "How late the ticks of a media worker began.",
            labels=["worker"],
        )
        for worker in stats.workers:
            name = str(worker.index)
            legs.add_metric([name], worker.legs)
            up.add_metric([name], float(worker.is_up))
            restarts.add_metric([name], worker.restarts)
            counts = itertools.accumulate(worker.late_histogram)
            late.add_metric([name], list(zip(_BOUNDS, counts, strict=True)), sum_value=None)
            if worker.latest is not None:
                busy.add_metric([name], worker.latest.busy_share)
                packets.add_metric([name, "received"], worker.latest.packets_received)
                packets.add_metric([name, "sent"], worker.latest.packets_sent)
                packets.add_metric([name, "dropped"], worker.latest.packets_dropped)
        yield from (legs, up, busy, restarts, packets, late)
        yield GaugeMetricFamily(
            "voiceblocks_rings_used", "Rows of the ring arena in use.", stats.rows_in_use
        )
        yield GaugeMetricFamily("voiceblocks_rings", "Rows of the ring arena.", stats.rows)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["worker"])
