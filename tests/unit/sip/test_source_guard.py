"""Who may send us calls, and how fast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.sip import source_guard
from voiceblocks.sip.source_guard import SourceGuard


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("192.0.2.7", True),
        ("192.0.3.7", False),
        ("198.51.100.4", True),
        ("198.51.100.5", False),
        ("2001:db8::99", True),
        ("2001:db9::99", False),
        ("::ffff:192.0.2.7", True),
        ("fe80::1%eth0", False),
        ("not an address", False),
        ("", False),
    ],
)
def test_networks(address: str, allowed: bool) -> None:
    """CIDRs and single addresses of both families; mapped IPv4 counts as IPv4."""
    guard = SourceGuard(["192.0.2.0/24", "198.51.100.4", "2001:db8::/32"], 1, 1)
    assert guard.is_known(address) == allowed
    assert guard.allows(address, 0.0) == allowed
    assert guard.dropped_strangers == (0 if allowed else 1)


def test_burst_and_rate() -> None:
    """Three at once, then two a second; what is dropped is counted."""
    guard = SourceGuard(["0.0.0.0/0"], 2.0, 3)
    assert [guard.allows("192.0.2.1", 5.0) for _ in range(4)] == [True, True, True, False]
    assert guard.allows("192.0.2.2", 5.0)
    assert not guard.allows("192.0.2.1", 5.4)
    assert guard.allows("192.0.2.1", 5.6)
    assert guard.dropped_too_fast == 2
    assert [guard.allows("192.0.2.1", 100.0) for _ in range(4)] == [True, True, True, False]


def test_an_ipv6_site_shares_one_bucket() -> None:
    """Walking through a /64 does not help."""
    guard = SourceGuard(["::/0"], 1.0, 1)
    assert guard.allows("2001:db8::1", 0.0)
    assert not guard.allows("2001:db8::2", 0.0)
    assert guard.allows("2001:db8:0:1::1", 0.0)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source unheard of longest is forgotten."""
    monkeypatch.setattr(source_guard, "_MAX_SOURCES", 3)
    guard = SourceGuard(["0.0.0.0/0"], 0.001, 1)
    for last in (1, 2, 3, 1, 4):
        guard.allows(f"192.0.2.{last}", 0.0)
    assert len(guard._buckets) == 3
    assert not guard.allows("192.0.2.1", 0.0)
    assert guard.allows("192.0.2.2", 0.0)


def test_broken_settings_are_refused() -> None:
    """A network that is none, no rate, no burst."""
    for arguments in ((["nonsense"], 1, 1), ([], 0, 1), ([], 1, 0)):
        with pytest.raises(ValueError):
            SourceGuard(*arguments)


@given(st.lists(st.floats(0, 5), max_size=80))
def test_never_more_than_burst_and_rate_allow(gaps: list[float]) -> None:
    """Over any time no source gets more than burst + rate * time."""
    guard, now, taken = SourceGuard(["0.0.0.0/0"], 1.5, 4), 0.0, 0
    for gap in gaps:
        now += gap
        taken += guard.allows("192.0.2.1", now)
        assert taken <= 4 + 1.5 * now + 1e-6
