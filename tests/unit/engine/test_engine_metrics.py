"""The gauges of what is alive."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from voiceblocks.engine.media.lateness import N_BINS
from voiceblocks.engine.media.metrics import MediaMetrics
from voiceblocks.engine.metrics import EngineMetrics
from voiceblocks.trunks.model import RegistrationState


def test_counts_are_read_at_the_scrape() -> None:
    """Each gauge shows what its owner says at that moment."""
    user_agent = SimpleNamespace(leg_count=3, transaction_count=7)
    engine: Any = SimpleNamespace(
        live_calls=2,
        rooms=1,
        guard=SimpleNamespace(dropped_strangers=8, dropped_too_fast=9),
        endpoint=SimpleNamespace(user_agent=user_agent),
    )
    registry = CollectorRegistry()
    registrations: Any = SimpleNamespace(
        states={"acme": RegistrationState.REGISTERED, "other": RegistrationState.FAILED}
    )
    registry.register(EngineMetrics(engine, registrations))
    user_agent.leg_count = 6
    lines = generate_latest(registry).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "voiceblocks_live_calls 2.0",
        "voiceblocks_sip_legs 6.0",
        "voiceblocks_sip_transactions 7.0",
        "voiceblocks_rooms 1.0",
        'voiceblocks_sip_dropped_total{reason="stranger"} 8.0',
        'voiceblocks_sip_dropped_total{reason="too_fast"} 9.0',
        'voiceblocks_trunk_registered{trunk="acme"} 1.0',
        'voiceblocks_trunk_registered{trunk="other"} 0.0',
    ]


def test_a_worker_s_report_is_shown_by_its_number() -> None:
    """Legs, packets by fate, and how late ticks were, each bound counting all before it."""
    latest = SimpleNamespace(
        busy_share=0.25, packets_received=10, packets_sent=20, packets_dropped=1
    )
    histogram = (5, 3, *[0] * (N_BINS - 3), 2)
    up = SimpleNamespace(
        index=0, legs=4, is_up=True, restarts=1, latest=latest, late_histogram=histogram
    )
    new = SimpleNamespace(
        index=1, legs=0, is_up=False, restarts=0, latest=None, late_histogram=(0,) * N_BINS
    )
    stats = SimpleNamespace(workers=[up, new], rows_in_use=3, rows=100)
    plane: Any = SimpleNamespace(stats=lambda: stats)
    registry = CollectorRegistry()
    registry.register(MediaMetrics(plane))
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert values["voiceblocks_media_legs", "0"] == 4
    assert values["voiceblocks_media_worker_up", "1"] == 0
    assert values["voiceblocks_media_worker_restarts_total", "0"] == 1
    assert values["voiceblocks_media_busy_ratio", "0"] == 0.25
    assert values["voiceblocks_rtp_packets_total", "0", "dropped"] == 1
    assert ("voiceblocks_rtp_packets_total", "1", "dropped") not in values
    assert values["voiceblocks_media_tick_late_seconds_bucket", "0", "0.00025"] == 5
    assert values["voiceblocks_media_tick_late_seconds_bucket", "0", "0.1"] == 8
    assert values["voiceblocks_media_tick_late_seconds_bucket", "0", "+Inf"] == 10
    assert values["voiceblocks_rings_used",] == 3
