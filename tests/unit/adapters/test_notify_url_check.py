"""Which notify_urls fail a request, and which are left to the retries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from voiceblocks.adapters.address_guard import (
    AnswerRefused,
    ConnectFailed,
    NameNotResolved,
    OutgoingHttpError,
    TargetRefused,
    TimedOut,
    TlsFailed,
)
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.notify_url_check import KEEP_BAD_S, KEEP_GOOD_S, KEEP_MAX, NotifyUrlCheck
from voiceblocks.errors import InvalidRequest


@dataclass
class Clock:
    """Monotonic time by hand."""

    now_s: float = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def utc_us(self) -> int:
        return 0


@dataclass
class Network(GuardedHttp):
    """Servers that fail as the table of the test says."""

    failures: dict[str, OutgoingHttpError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def check_connection(self, url: str, timeout_s: float) -> None:
        assert timeout_s == 2.0
        self.asked.append(url)
        await asyncio.sleep(0)
        host = urlsplit(url).hostname or ""
        if host in self.failures:
            raise self.failures[host]


async def status_of(check: NotifyUrlCheck, url: str) -> str | None:
    """What a request with this notify_url fails with."""
    try:
        await check.check(url)
    except InvalidRequest as error:
        return error.status
    return None


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (None, None),
        (TargetRefused("x"), "error_invalid_notify_url"),
        (NameNotResolved("x"), "error_unable_to_resolve_notify_url"),
        (TlsFailed("x"), "error_unable_to_complete_ssl_handshake_notify_url"),
        (ConnectFailed("x"), None),
        (TimedOut("x"), None),
        (AnswerRefused("x"), None),
    ],
)
async def test_what_fails_a_request(failure: OutgoingHttpError | None, status: str | None) -> None:
    """Guard, look-up and handshake fail it; a refused or slow connection does not."""
    network = Network(failures={} if failure is None else {"a.example": failure})
    assert await status_of(NotifyUrlCheck(network, Clock()), "https://a.example/n?x=1") == status


@pytest.mark.parametrize("url", ["ftp://a.example/", "http://u:p@a.example/", "http://0x7f.1/", ""])
async def test_bad_syntax_asks_nobody(url: str) -> None:
    """What is no usable address fails without a look-up."""
    network = Network()
    assert await status_of(NotifyUrlCheck(network, Clock()), url) == "error_invalid_notify_url"
    assert network.asked == []


async def test_results_are_kept_for_a_while() -> None:
    """A good server is asked once a minute, a bad one every ten seconds, whatever the path."""
    network = Network(failures={"bad.example": TlsFailed("x")})
    clock = Clock()
    check = NotifyUrlCheck(network, clock)
    for _ in range(2):
        await status_of(check, "https://good.example/1")
        await status_of(check, "https://good.example/2?x")
        await status_of(check, "https://bad.example/")
    assert network.asked == ["https://good.example:443", "https://bad.example:443"]
    clock.now_s += KEEP_BAD_S
    assert await status_of(check, "https://good.example/") is None
    assert await status_of(check, "https://bad.example/") is not None
    assert len(network.asked) == 3
    clock.now_s += KEEP_GOOD_S
    await status_of(check, "https://good.example/")
    assert len(network.asked) == 4


async def test_other_ports_and_schemes_are_other_servers() -> None:
    """Results belong to scheme, host and port."""
    network = Network()
    check = NotifyUrlCheck(network, Clock())
    for url in ("http://a.example", "https://a.example", "http://a.example:81", "HTTP://A.example"):
        await status_of(check, url)
    assert len(network.asked) == 3


async def test_checks_at_the_same_time_are_one() -> None:
    """Twenty requests at once ask once, also when the first of them is cancelled."""
    network = Network(failures={"a.example": NameNotResolved("x")})
    check = NotifyUrlCheck(network, Clock())
    tasks = [asyncio.create_task(status_of(check, "http://a.example/")) for _ in range(20)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert set(outcomes[1:]) == {"error_unable_to_resolve_notify_url"}
    assert len(network.asked) == 1


async def test_memory_is_bounded() -> None:
    """However many names an application makes up, only so many results are kept."""
    check = NotifyUrlCheck(Network(), Clock())
    for n in range(KEEP_MAX + 10):
        await status_of(check, f"http://h{n}.example/")
    assert len(check._kept) == KEEP_MAX
