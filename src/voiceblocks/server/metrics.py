"""What `/metrics` tells of a node."""

from __future__ import annotations

import functools

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.registry import Collector

from voiceblocks.recordings.store_task import StoreTaskKind
from voiceblocks.workflows.settle_stores import SettleStores


def node_registry(*collectors: Collector, stores: SettleStores) -> CollectorRegistry:
    """Return a registry of the node's parts and of what its stores have still to do."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    waiting = Gauge(
        "voiceblocks_store_tasks",
        "Recordings that a store has still to take or to let go.",
        ["task"],
        registry=registry,
    )
    for kind in StoreTaskKind:
        waiting.labels(kind.value).set_function(functools.partial(stores.n_waiting, kind))
    return registry
