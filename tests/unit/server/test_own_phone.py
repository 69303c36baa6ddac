"""Where the browser's phone is, seen from the node that it calls."""

from __future__ import annotations

import pytest

from voiceblocks.errors import RequestRefused
from voiceblocks.server.own_phone import phone_address
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.trunks.model import Trunk


@pytest.mark.parametrize(
    ("listens", "accepted", "trunk_at", "expected"),
    [
        ("127.0.0.1", "127.0.0.0/8", None, ("127.0.0.1", "127.0.0.1:5060")),
        ("0.0.0.0", "127.0.0.0/8", None, ("127.0.0.1", "127.0.0.1:5060")),
        ("0.0.0.0", "127.0.0.0/8", "127.0.0.1", ("127.0.0.2", "127.0.0.1:5060")),
        ("192.0.2.5", "192.0.2.0/24", None, ("192.0.2.5", "192.0.2.5:5060")),
        ("::", "127.0.0.1/32", None, ("127.0.0.1", "127.0.0.1:5060")),
    ],
)
def test_it_calls_from_where_it_is_heard(
    listens: str, accepted: str, trunk_at: str | None, expected: tuple[str, str]
) -> None:
    """Loopback where SIP listens there, else the address that SIP has; never a trunk's."""
    tell = phone_address(lambda: (listens, 5060), _guard(accepted), _trunk(trunk_at))
    assert tell() == expected


@pytest.mark.parametrize(
    ("listens", "accepted", "trunk_at", "words"),
    [
        ("0.0.0.0", "203.0.113.0/24", None, "add 127.0.0.1 to VOICEBLOCKS_ACCEPT_CALLS_FROM"),
        ("192.0.2.5", "203.0.113.0/24", None, "add 192.0.2.5 to VOICEBLOCKS_ACCEPT_CALLS_FROM"),
        ("127.0.0.1", "127.0.0.1/32", "127.0.0.1", "add 127.0.0.2 to"),
        ("192.0.2.5", "192.0.2.5/32", "192.0.2.5", "is a trunk's"),
        ("::1", "::1/128", None, "IPv4"),
    ],
)
def test_where_it_would_not_be_heard_it_says_what_to_do(
    listens: str, accepted: str, trunk_at: str | None, words: str
) -> None:
    """An operator who took loopback from the list is told so, not left with a dead line."""
    tell = phone_address(lambda: (listens, 5060), _guard(accepted), _trunk(trunk_at))
    with pytest.raises(RequestRefused, match=words):
        tell()


def _guard(network: str) -> SourceGuard:
    return SourceGuard([network], 100.0, 100)


def _trunk(at: str | None):  # type: ignore[no-untyped-def]
    trunk = object.__new__(Trunk)
    return lambda host: trunk if host == at else None
