"""What is alive in the engine right now, for `/metrics`: what does not come back to 0 leaks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voiceblocks.engine.call_engine import CallEngine
from voiceblocks.engine.registrations import Registrations
from voiceblocks.trunks.model import RegistrationState


class EngineMetrics(Collector):
    """
    Counts read at the moment of the scrape, from any thread.

    Args:
        engine: The live calls and their SIP side.
        registrations: Ours with the trunks.
    """

    def __init__(self, engine: CallEngine, registrations: Registrations) -> None:
        self._engine = engine
        self._registrations = registrations

    def collect(self) -> Iterator[Metric]:
        """One family each for calls, legs, transactions, rooms, what was dropped, and trunks."""
        user_agent = self._engine.endpoint.user_agent
        yield GaugeMetricFamily(
            "voiceblocks_live_calls", "Calls that ring or are up.", self._engine.live_calls
        )
        yield GaugeMetricFamily(
            "voiceblocks_sip_legs", "SIP legs that have not ended.", user_agent.leg_count
        )
        yield GaugeMetricFamily(
            "voiceblocks_sip_transactions",
            "SIP transactions that are remembered; some outlive their leg by 32 s.",
            user_agent.transaction_count,
        )
        yield GaugeMetricFamily(
            "voiceblocks_rooms", "Conference rooms with somebody in them.", self._engine.rooms
        )
        guard = self._engine.guard
        dropped = CounterMetricFamily(
            "voiceblocks_sip_dropped", "Calls that got no answer.", labels=["reason"]
        )
        dropped.add_metric(["stranger"], guard.dropped_strangers)
        dropped.add_metric(["too_fast"], guard.dropped_too_fast)
        yield dropped
        registered = GaugeMetricFamily(
            "voiceblocks_trunk_registered",
            "Whether we are registered with a trunk that wants it.",
            labels=["trunk"],
        )
        for name, state in self._registrations.states.items():
            registered.add_metric([name], float(state is RegistrationState.REGISTERED))
        yield registered
