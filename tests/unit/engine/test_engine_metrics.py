"""The gauges of what is alive."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from voiceblocks.engine.metrics import EngineMetrics
from voiceblocks.trunks.model import RegistrationState


def test_counts_are_read_at_the_scrape() -> None:
    """Each gauge shows what its owner says at that moment, media legs by worker."""
    user_agent = SimpleNamespace(leg_count=3, transaction_count=7)
    engine: Any = SimpleNamespace(
        live_calls=2,
        rooms=1,
        guard=SimpleNamespace(dropped_strangers=8, dropped_too_fast=9),
        endpoint=SimpleNamespace(user_agent=user_agent),
    )
    workers = [SimpleNamespace(index=0, legs=4), SimpleNamespace(index=1, legs=5)]
    plane: Any = SimpleNamespace(stats=lambda: SimpleNamespace(workers=workers))
    registry = CollectorRegistry()
    registrations: Any = SimpleNamespace(
        states={"acme": RegistrationState.REGISTERED, "other": RegistrationState.FAILED}
    )
    registry.register(EngineMetrics(engine, plane, registrations))
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
        'voiceblocks_media_legs{worker="0"} 4.0',
        'voiceblocks_media_legs{worker="1"} 5.0',
    ]
