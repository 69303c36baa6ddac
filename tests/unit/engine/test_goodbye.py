"""What a BYE after a restart needs to know: how the far end is reached, and our password there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from voiceblocks.accounts.tokens import UnreadableSecret
from voiceblocks.engine.goodbye import Goodbyes, remember
from voiceblocks.sip.flow import Flow
from voiceblocks.trunks.model import Trunk, TrunkRoute

HERE, THERE = ("192.0.2.9", 5060), ("192.0.2.1", 5061)


class FakeEndpoint:
    """Notes by which way the BYE leaves, and with which credentials."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Flow]] = []
        self.credentials: list[tuple[str, str] | None] = []
        self.former = self

    def run(self, command: Callable[[Any, float], Any]) -> Any:
        return command(self, 0.0)

    def snapshot(self, _leg: int) -> str:
        return "{}"

    def flow_to(self, host: str, port: int, transport: str = "udp") -> Flow:
        return Flow(transport, HERE, (host, port))

    def hang_up(self, snapshot: str, flow: Flow, _now: float, credentials: Any) -> str:
        self.said.append((snapshot, flow))
        self.credentials.append(credentials)
        return "call-1"


class FakeAddresses:
    """Two trunks at one address: the first is taken for both."""

    def __init__(self) -> None:
        self.trunks = [
            Trunk(id=name, name=name, address="sip:192.0.2.1", username=name, created_us=1)
            for name in ("one", "two", "locked")
        ]

    def trunk_of(self, source: str) -> Trunk | None:
        return self.trunks[0] if source == THERE[0] else None


def open_route(trunk: Trunk) -> TrunkRoute:
    """The password is the name once more."""
    if trunk.name == "locked":
        raise UnreadableSecret("sealed with another key")
    return TrunkRoute(
        trunk_id=trunk.id, name=trunk.name, address=trunk.address, username=trunk.username,
        password=trunk.name,
    )  # fmt: skip


def goodbyes(endpoint: Any) -> Goodbyes:
    """Over an endpoint that sends nothing."""
    addresses: Any = FakeAddresses()
    return Goodbyes(endpoint, addresses, open_route)


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
    goodbyes(endpoint).say(remember(endpoint, 1, flow))
    assert endpoint.said == [("{}", Flow(transport, HERE, THERE))]


def test_what_an_older_version_remembered_is_said_by_udp() -> None:
    """It did not know of transports."""
    endpoint: Any = FakeEndpoint()
    said = goodbyes(endpoint).say('{"remote": ["192.0.2.1", 5061], "snapshot": "{}"}')
    assert (said, endpoint.said) == ("call-1", [("{}", Flow("udp", HERE, THERE))])


def test_what_cannot_be_read_is_nobodys_call() -> None:
    """The call is over in any case; nothing is sent, and no story is told of it."""
    endpoint: Any = FakeEndpoint()
    for spoiled in ("", "{}", "[]", '{"remote": 5, "snapshot": "{}"}'):
        assert goodbyes(endpoint).say(spoiled) is None
    assert endpoint.said == []


@pytest.mark.parametrize(
    ("trunk_id", "remote", "credentials"),
    [
        ("two", THERE, ("two", "two")),
        (None, THERE, ("one", "one")),
        ("removed", THERE, ("one", "one")),
        (None, ("192.0.2.200", 5060), None),
        ("locked", THERE, None),
    ],
    ids=["called by it", "called us", "gone", "no trunk", "unreadable password"],
)
def test_the_password_is_that_of_the_trunk(
    trunk_id: str | None, remote: tuple[str, int], credentials: tuple[str, str] | None
) -> None:
    """Of the one by which we called, else of the one at that address; without it BYE goes, too."""
    endpoint: Any = FakeEndpoint()
    goodbyes(endpoint).say(remember(endpoint, 1, Flow("udp", HERE, remote), trunk_id))
    assert endpoint.credentials == [credentials]


def test_no_password_is_remembered() -> None:
    """What lies in the database names the trunk, and nothing secret."""
    endpoint: Any = FakeEndpoint()
    facts = json.loads(remember(endpoint, 1, Flow("udp", HERE, THERE), "two"))
    assert set(facts) == {"remote", "transport", "snapshot", "trunk"}
