"""Whatever an application names, nothing private is reached: by posts, fetches and checks.

A real name server answers for names, a real listener (`Bait`) proves that nobody came.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostile_urls import HOSTS, PRIVATE, PUBLIC, URLS, ZONE, Bait, baits
from tests.unit.adapters.dns_server import DnsServer
from voiceblocks.adapters import checked_resolver
from voiceblocks.adapters.audio_download import AudioDownloader
from voiceblocks.adapters.checked_resolver import NameServers
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.notify_url_check import NotifyUrlCheck
from voiceblocks.adapters.webhook_client import WebhookClient
from voiceblocks.errors import InvalidRequest
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.webhook_sink import Reply, WebhookSink

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class World:
    """A client that may reach `PUBLIC` alone, what must not be reached, and a web server."""

    http: GuardedHttp
    names: DnsServer
    bait: Bait
    sink: WebhookSink
    downloader: AudioDownloader

    async def posted(self, url: str) -> str:
        """What became of a notification: an error's word, or the HTTP status."""
        result = await WebhookClient(self.http).send(url, b"a=1", FORM, timeout_s=5)
        return result.error.partition(":")[0] if result.error else str(result.http_status)

    async def fetched(self, url: str) -> str:
        """What became of a download: its status."""
        try:
            await self.downloader.fetch(url, "acc_1")
        except InvalidRequest as error:
            return error.status
        return "success_ok"

    async def checked(self, url: str) -> str:
        """What became of a look at a notify_url: its status."""
        try:
            await NotifyUrlCheck(self.http, SystemClock()).check(url)
        except InvalidRequest as error:
            return error.status
        return "success_ok"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The world."""
    async with DnsServer(dict(ZONE), ttl_s=0) as names, baits() as bait, WebhookSink() as sink:
        http = GuardedHttp(
            [ipaddress.ip_network(PUBLIC)], lookup=NameServers([("127.0.0.1", names.port)])
        )
        downloader = AudioDownloader(http, tmp_path, SystemClock())
        yield World(http, names, bait, sink, downloader)
        await http.close()


def test_the_table_is_long_enough() -> None:
    """At least forty rows, and the odd spellings do mean the private address to a C library."""
    assert len(URLS) == len(set(URLS)) >= 40
    odd = HOSTS[HOSTS.index("2130706434") : HOSTS.index("127.0.0.2.")]
    assert {socket.inet_ntoa(socket.inet_aton(host)) for host in odd} == {PRIVATE}


@pytest.mark.parametrize("row", URLS)
async def test_nothing_private_is_reached(world: World, row: str) -> None:
    """Each row is refused with its documented status, first or behind redirects; nobody came."""
    url = world.bait.url(row)
    assert await world.checked(url) == "error_invalid_notify_url"
    assert await world.posted(url) == "target_refused"
    assert await world.fetched(url) == "error_msg_invalid_url"
    for status in (307, 308):
        world.sink.script(Reply(307, location="/hop"), Reply(status, location=url))
        assert await world.posted(world.sink.url) == "target_refused"
    for status in (301, 302, 303, 307, 308):
        world.sink.script(Reply(302, location="/hop.mp3"), Reply(status, location=url))
        assert await world.fetched(f"{world.sink.url}/{status}.mp3") == "error_msg_invalid_url"
    assert world.bait.reached == 0


async def test_the_guard_is_what_keeps_us_out(world: World) -> None:
    """With the private network allowed the same name is reached: the bait does catch."""
    http = GuardedHttp(
        [ipaddress.ip_network("127.0.0.0/8")],
        lookup=NameServers([("127.0.0.1", world.names.port)]),
    )
    url = f"http://alias.example:{world.bait.port}/"
    assert (await WebhookClient(http).send(url, b"", FORM, timeout_s=5)).http_status == 200
    assert world.bait.reached == 1
    await http.close()


async def test_a_name_with_a_public_and_a_private_address(world: World) -> None:
    """Only the public one is tried, even where it refuses the connection."""
    world.names.zone["both.example.", "A"] = [PRIVATE, PUBLIC, "10.0.0.1"]
    url = f"http://both.example:{world.bait.port}/a.mp3"
    assert await world.posted(url) == "connect_failed"
    assert await world.fetched(url) == "error_msg_download_failed"
    assert await world.checked(url) == "success_ok"
    assert world.bait.reached == 0


async def test_a_name_that_is_bound_anew_after_the_check(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it is checked, private when it is used, by a server of TTL 0."""
    monkeypatch.setattr(checked_resolver, "LOOKUP_GOOD_S", 0.0)
    name = ("rebound.example.", "A")
    world.names.zone[name] = [PRIVATE]
    url = f"http://rebound.example:{world.bait.port}/a.mp3"
    for use, refused in (
        (world.posted, "target_refused"),
        (world.fetched, "error_msg_invalid_url"),
    ):
        world.names.first[name] = [[PUBLIC]]
        assert await world.checked(url) == "success_ok"
        assert await use(url) == refused
    assert world.bait.reached == 0


async def test_a_name_that_changes_with_every_question(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is connected to is the answer that was judged: one question for each connection."""
    monkeypatch.setattr(checked_resolver, "LOOKUP_GOOD_S", 0.0)
    name = ("flipping.example.", "A")
    world.names.zone[name] = [PRIVATE]
    world.names.first[name] = [[PUBLIC], [PRIVATE]] * 20
    url = f"http://flipping.example:{world.bait.port}/a.mp3"
    outcomes = [await world.posted(url) for _ in range(40)]
    assert outcomes == ["connect_failed", "target_refused"] * 20
    assert world.names.asked[name] == 40
    assert world.bait.reached == 0


async def test_many_requests_share_one_question(world: World) -> None:
    """Within ten seconds a name is asked for once, also by requests at the same time."""
    world.names.first["public.example.", "A"] = [[PUBLIC]]
    world.names.zone["public.example.", "A"] = [PRIVATE]
    url = f"http://public.example:{world.sink.port}/"
    assert set(await asyncio.gather(*(world.posted(url) for _ in range(20)))) == {"200"}
    assert await world.checked(url) == "success_ok"
    assert world.names.asked["public.example.", "A"] == 1
    assert world.bait.reached == 0


async def test_names_that_do_not_resolve(world: World) -> None:
    """No such name, no address of it, and a name server that fails: each has its status."""
    world.names.zone["mail.example.", "MX"] = ["10 mail.example."]
    for host in ("nowhere.example", "mail.example"):
        url = f"http://{host}/a.mp3"
        assert await world.checked(url) == "error_unable_to_resolve_notify_url"
        assert await world.posted(url) == "name_not_resolved"
        assert await world.fetched(url) == "error_msg_download_failed"
    world.names.fails = True
    url = "http://other.example/"
    assert await world.checked(url) == "error_unable_to_resolve_notify_url"
