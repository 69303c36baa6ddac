"""The guarded client against real servers on the loopback address."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from tests.ports import free_port
from tests.unit.adapters.local_tls import self_signed
from voiceblocks.adapters.address_guard import (
    AnswerRefused,
    ConnectFailed,
    NameNotResolved,
    TargetRefused,
    TimedOut,
    TlsFailed,
)
from voiceblocks.adapters.guarded_http import Answer, GuardedHttp
from voiceblocks.testing.webhook_sink import Drop, Hang, Reply, WebhookSink

LOOPBACK = [ipaddress.ip_network("127.0.0.1/32")]
NAMES = {
    "app.example": ["127.0.0.1"],
    "rebound.example": ["169.254.169.254"],
    "both.example": ["10.0.0.1", "127.0.0.1"],
    "two.example": ["127.0.0.2", "127.0.0.1"],
}


async def lookup(host: str) -> list[str]:
    """A name service with a few names."""
    if host not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return NAMES[host]


@pytest.fixture
async def http() -> AsyncIterator[GuardedHttp]:
    """A client that may reach 127.0.0.1 and nothing else that is private."""
    made = GuardedHttp(LOOPBACK, lookup=lookup)
    yield made
    await made.close()


@pytest.fixture
async def sink() -> AsyncIterator[WebhookSink]:
    """A web server."""
    async with WebhookSink() as made:
        yield made


async def post(http: GuardedHttp, url: str, timeout_s: float = 10.0) -> Answer:
    """POST a small form."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return await http.post(url, b"a=%2B1", headers, timeout_s)


@asynccontextmanager
async def raw_server(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A TCP server that does what `handler` says; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[str]]]:
    """An HTTPS server that answers 200; yields its port and the hosts that were asked for."""
    hosts: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        hosts.append(request.host)
        return web.Response(text="secure")

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1], hosts
    await runner.cleanup()


async def test_post_arrives_as_it_was_given(http: GuardedHttp, sink: WebhookSink) -> None:
    """Path, query and body arrive byte for byte, with the original host and no surprises."""
    sink.script(Reply(201, text="done"))
    answer = await post(http, f"http://app.example:{sink.port}/a%2Fb?t=a+b%3A%2b&x=é")
    got = await sink.next(5)
    assert (answer.status, answer.body_start) == (201, b"done")
    assert answer.latency_ms >= 0
    assert (got.method, got.raw_query, got.raw_body) == ("POST", "t=a+b%3A%2b&x=%C3%A9", b"a=%2B1")
    assert got.headers["host"] == f"app.example:{sink.port}"
    assert got.headers["content-type"] == "application/x-www-form-urlencoded"
    assert got.headers["user-agent"].startswith("Voiceblocks/")
    assert "cookie" not in got.headers


async def test_connections_are_kept(http: GuardedHttp) -> None:
    """Requests one after the other share a connection."""
    peers = []

    async def answer(request: web.Request) -> web.Response:
        peers.append(request.transport.get_extra_info("peername"))  # type: ignore[union-attr]
        return web.Response()

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    for _ in range(3):
        await post(http, f"http://app.example:{runner.addresses[0][1]}/")
    await runner.cleanup()
    assert len(set(peers)) == 1


async def test_a_request_is_sent_once(http: GuardedHttp, sink: WebhookSink) -> None:
    """A connection that breaks is a failure, not sent again behind the caller's back."""
    await post(http, sink.url)
    sink.script(Drop())
    with pytest.raises(ConnectFailed):
        await post(http, sink.url)
    assert len(sink.received) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://127.0.0.2/",
        "http://[::1]/",
        "http://rebound.example/",
        "http://2130706433/",
        "http://user:pw@app.example/",
        "gopher://app.example/",
    ],
)
async def test_refused_targets(http: GuardedHttp, url: str) -> None:
    """Private addresses, by number and behind a name, are refused before anything is sent."""
    with pytest.raises(TargetRefused):
        await post(http, url)
    with pytest.raises(TargetRefused):
        await http.check_connection(url, 2)


async def test_refusals_hold_no_url(http: GuardedHttp, sink: WebhookSink) -> None:
    """What is logged of a failure does not repeat a query that may be secret."""
    sink.script(Drop(), Drop())
    for url in ("http://nowhere.example", f"http://app.example:{sink.port}", "http://10.0.0.1"):
        with pytest.raises((NameNotResolved, ConnectFailed, TargetRefused)) as caught:
            await post(http, f"{url}/?token=secret")
        assert "secret" not in str(caught.value)


async def test_only_judged_addresses_are_connected_to(http: GuardedHttp, sink: WebhookSink) -> None:
    """Of a name with a private and an allowed address only the allowed one is used."""
    assert (await post(http, f"http://both.example:{sink.port}/")).status == 200


async def test_nothing_is_reached_by_default(sink: WebhookSink) -> None:
    """Without an allow-list the loopback address is closed, by name and by number."""
    http = GuardedHttp(lookup=lookup)
    for host in ("127.0.0.1", "app.example", "localhost"):
        with pytest.raises((TargetRefused, NameNotResolved)):
            await post(http, f"http://{host}:{sink.port}/")
    await http.close()
    assert sink.received == []


async def test_the_system_resolver() -> None:
    """Without a lookup of its own the system's is used: localhost is found, and refused."""
    http = GuardedHttp()
    with pytest.raises(TargetRefused):
        await http.check_connection("http://localhost/", 2)
    with pytest.raises(NameNotResolved):
        await http.check_connection("http://nowhere.invalid/", 2)
    await http.close()


async def test_lookups_are_shared_and_kept(sink: WebhookSink) -> None:
    """Ten requests at once look a name up once; an unknown one too."""
    asked = []

    async def counting(host: str) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0)
        return await lookup(host)

    http = GuardedHttp(LOOPBACK, lookup=counting)
    url = f"http://app.example:{sink.port}/"
    assert {(await a).status for a in [asyncio.ensure_future(post(http, url)) for _ in range(9)]}
    outcomes = await asyncio.gather(
        *(post(http, "http://nowhere.example/") for _ in range(9)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {NameNotResolved}
    await http.close()
    assert asked == ["app.example", "nowhere.example"]


async def test_redirects_that_keep_the_post(http: GuardedHttp, sink: WebhookSink) -> None:
    """307 and 308 are followed with method and body, relative ones too."""
    sink.script(
        Reply(307, location="/two?q=1"),
        Reply(308, location=f"http://app.example:{sink.port}/three"),
    )
    assert (await post(http, f"{sink.url}?q=0")).status == 200
    paths = [(n.method, n.path, n.raw_query, n.raw_body) for n in sink.received]
    assert paths == [
        ("POST", "/notify", "q=0", b"a=%2B1"),
        ("POST", "/two", "q=1", b"a=%2B1"),
        ("POST", "/three", "", b"a=%2B1"),
    ]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304])
async def test_other_redirects_are_answers(
    http: GuardedHttp, sink: WebhookSink, status: int
) -> None:
    """A redirect that would become a GET is not followed."""
    sink.script(Reply(status, location="/two"))
    assert (await post(http, sink.url)).status == status
    assert len(sink.received) == 1


async def test_redirects_end(http: GuardedHttp, sink: WebhookSink) -> None:
    """Three redirects are followed, not four."""
    hop = Reply(307, location="/again")
    sink.script(hop, hop, hop)
    assert (await post(http, sink.url)).status == 200
    sink.script(then=hop)
    with pytest.raises(AnswerRefused, match="too many redirects"):
        await post(http, sink.url)
    assert len(sink.received) == 8


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/",
        "http://rebound.example/",
        "//10.0.0.1/",
        "http://0x7f000001/",
        "file:///etc/passwd",
        "http://[",
    ],
)
async def test_redirects_are_judged(http: GuardedHttp, sink: WebhookSink, location: str) -> None:
    """A redirect is a new target: it cannot lead where the first URL could not."""
    sink.script(Reply(307, location=location))
    with pytest.raises(TargetRefused):
        await post(http, sink.url)


async def test_failures_have_their_kinds(http: GuardedHttp, sink: WebhookSink) -> None:
    """Refused, dropped, hanging and unknown hosts are told apart."""
    with pytest.raises(ConnectFailed):
        await post(http, f"http://app.example:{free_port()}/")
    sink.script(Drop(), Hang())
    with pytest.raises(ConnectFailed):
        await post(http, sink.url)
    with pytest.raises(TimedOut):
        await post(http, sink.url, timeout_s=0.05)
    with pytest.raises(NameNotResolved):
        await post(http, "http://nowhere.example/")


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 64, b"x" * 100_000]
)
async def test_what_is_no_http(http: GuardedHttp, garbage: bytes) -> None:
    """A peer that speaks something else is an error of ours, whatever it sends."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(garbage)
        await writer.drain()

    async with raw_server(babble) as port:
        with pytest.raises((AnswerRefused, ConnectFailed)):
            await post(http, f"http://127.0.0.1:{port}/")


async def test_long_and_unfinished_bodies(http: GuardedHttp) -> None:
    """An answer counts when its header is there; at most its first KB is kept."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000)
        await reader.read()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Gone\r\nContent-Length: 9\r\n\r\nabc")

    async with raw_server(endless) as port:
        answer = await post(http, f"http://127.0.0.1:{port}/")
        assert (answer.status, answer.body_start) == (200, b"x" * 1024)
    async with raw_server(cut) as port:
        answer = await post(http, f"http://127.0.0.1:{port}/")
        assert (answer.status, answer.body_start) == (404, b"abc")


async def test_tls(tmp_path: Path) -> None:
    """A trusted certificate for this name is accepted; the name is in SNI and Host."""
    server, client = self_signed(tmp_path, "app.example", "two.example")
    http = GuardedHttp([ipaddress.ip_network("127.0.0.0/8")], tls=client, lookup=lookup)
    seen = SimpleNamespace(names=[])
    server.sni_callback = lambda _socket, name, _context: seen.names.append(name)
    async with tls_server(server) as (port, hosts):
        answer = await post(http, f"https://app.example:{port}/")
        await http.check_connection(f"https://app.example:{port}/", 10)
        # Its first address refuses, the second is the server.
        await http.check_connection(f"https://two.example:{port}/", 10)
    await http.close()
    assert (answer.status, hosts) == (200, [f"app.example:{port}"])
    assert seen.names == ["app.example", "app.example", "two.example"]


async def test_tls_that_does_not_hold(tmp_path: Path) -> None:
    """An unknown authority, a wrong name, and a server without TLS fail the handshake."""
    server, client = self_signed(tmp_path, "app.example")
    trusting = GuardedHttp(LOOPBACK, tls=client, lookup=lookup)
    distrusting = GuardedHttp(LOOPBACK, lookup=lookup)
    async with tls_server(server) as (port, hosts), WebhookSink() as plain:
        for http, url in (
            (distrusting, f"https://app.example:{port}/"),
            (trusting, f"https://both.example:{port}/"),
            (trusting, f"https://app.example:{plain.port}/"),
        ):
            with pytest.raises(TlsFailed):
                await http.check_connection(url, 10)
            with pytest.raises(TlsFailed):
                await post(http, url)
    await trusting.close()
    await distrusting.close()
    assert hosts == []


async def test_check_of_servers_that_do_not_answer(http: GuardedHttp) -> None:
    """Refused and slow are told apart from failed, and plain http is not connected to."""

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    with pytest.raises(ConnectFailed):
        await http.check_connection(f"https://app.example:{free_port()}/", 10)
    await http.check_connection(f"http://app.example:{free_port()}/", 10)
    async with raw_server(silent) as port:
        with pytest.raises(TimedOut):
            await http.check_connection(f"https://app.example:{port}/", 0.05)
    async with raw_server(hang_up) as port:
        with pytest.raises(TlsFailed):
            await http.check_connection(f"https://app.example:{port}/", 10)


async def test_get_gives_the_body_as_it_is(http: GuardedHttp, sink: WebhookSink) -> None:
    """GET follows every kind of redirect and reads inside the time limit."""
    sink.script(Reply(302, location="/file.wav"), Reply(200, text="abc"))
    async with http.get(f"http://app.example:{sink.port}/", {"If-None-Match": "x"}, 10) as response:
        assert await response.read() == b"abc"
    assert [n.method for n in sink.received] == ["GET", "GET"]
    assert sink.received[1].headers["if-none-match"] == "x"
    assert sink.received[1].headers["accept-encoding"] == "identity"


async def test_close_and_use_again(http: GuardedHttp, sink: WebhookSink) -> None:
    """Closing twice is fine, and a closed client opens anew."""
    await http.close()
    await http.close()
    assert (await post(http, sink.url)).status == 200
