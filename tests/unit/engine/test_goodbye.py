"""What a BYE after a restart needs to know: how the far end is reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from voiceblocks.engine import goodbye
from voiceblocks.sip.flow import Flow

HERE, THERE = ("192.0.2.9", 5060), ("192.0.2.1", 5061)


class FakeEndpoint:
    """Notes by which way the BYE leaves."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Flow]] = []

    def run(self, command: Callable[[Any, float], Any]) -> Any:
        return command(self, 0.0)

    def snapshot(self, _leg: int) -> str:
        return "{}"

    def flow_to(self, host: str, port: int, transport: str = "udp") -> Flow:
        return Flow(transport, HERE, (host, port))

    def bye_from_snapshot(self, snapshot: str, flow: Flow, _now: float) -> None:
        self.said.append((snapshot, flow))


@pytest.mark.parametrize(
    ("flow", "transport"),
    [
        (Flow("udp", HERE, THERE), "udp"),
        # We opened it, so somebody listens there: a carrier does not hang up by itself.
        (Flow("tcp", HERE, THERE), "tcp"),
        # They opened it: nobody listens at that port.
        (Flow("tcp", HERE, THERE, connection=7), "udp"),
    ],
)
def test_a_trunk_over_tcp_hears_its_goodbye_over_tcp(flow: Flow, transport: str) -> None:
    """By a new connection, since that of the former process is gone."""
    endpoint: Any = FakeEndpoint()
    goodbye.say(endpoint, goodbye.remember(endpoint, 1, flow))
    assert endpoint.said == [("{}", Flow(transport, HERE, THERE))]


def test_what_an_older_version_remembered_is_said_by_udp() -> None:
    """It did not know of transports."""
    endpoint: Any = FakeEndpoint()
    goodbye.say(endpoint, '{"remote": ["192.0.2.1", 5061], "snapshot": "{}"}')
    assert endpoint.said == [("{}", Flow("udp", HERE, THERE))]
