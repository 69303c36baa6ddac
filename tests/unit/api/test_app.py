"""What the two applications serve beside the API, and what they write down."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from html import escape

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from voiceblocks.api.app import create_admin_app
from voiceblocks.api.http_server import HttpServer
from voiceblocks.api.metrics import ApiMetrics
from voiceblocks.api.statuses import STATUS_TEXTS
from voiceblocks.blocks.registry import APIS
from voiceblocks.errors import StartupError

from .conftest import APP_ID, NAME, TOKEN, Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin() -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """The administration on a free port, and a client."""
    registry = CollectorRegistry()
    ApiMetrics(registry).note("ivr/middle/record", "success_ok", 0.01)
    app = create_admin_app(
        public_url="https://voice.example", registry=registry, speakers_of=lambda _language: {}
    )
    server = HttpServer(app, "127.0.0.1", 0)
    await server.start()
    host, port = server.address
    async with aiohttp.ClientSession() as http:
        yield http, f"http://{host}:{port}"
    await server.stop()


async def test_health_and_readiness(api: Api) -> None:
    """Alive is always 200; ready is 503 with the reasons while there are any."""
    async with api.http.get(f"{api.url}/healthz") as response:
        assert (response.status, await response.text()) == (200, "ok\n")
    async with api.http.get(f"{api.url}/readyz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ready"})
    api.not_ready.append("draining")
    async with api.http.get(f"{api.url}/readyz") as response:
        assert response.status == 503
        assert await response.json() == {"status": "not_ready", "reasons": ["draining"]}
    async with api.http.get(f"{api.url}/healthz") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/redoc", "/metrics", "/console/", "/opened"]
)
async def test_the_public_application_serves_nothing_else(api: Api, path: str) -> None:
    """What is the operator's is not found on the public address."""
    async with api.http.get(api.url + path) as response:
        assert response.status == 404


async def test_no_query_string_gets_into_a_log(api: Api) -> None:
    """Each request is one line with its path as sent; tokens and signatures stay out of it."""
    open_path = f"/open/ivr/middle/record?app_id={APP_ID}&access_token={TOKEN}&session=S-secret"
    with capture_logs() as logs:
        for path in (open_path, f"/recordings/{NAME}?Signature=secret-sig", "/a%0Ab?c=secret"):
            async with api.http.get(api.url + path) as response:
                await response.read()
    lines = [line for line in logs if line["event"] == "http_request"]
    assert [(line["path"], line["http_status"]) for line in lines] == [
        ("/open/ivr/middle/record", 200),
        (f"/recordings/{NAME}", 403),
        ("/a%0Ab", 404),
    ]
    # Not an enum's member, which is written as `<HTTPStatus.OK: 200>`.
    assert {type(line["http_status"]) for line in lines} == {int}
    assert lines[0]["api_status"] == "success_ok"
    assert lines[0]["peer"] == "127.0.0.1"
    for secret in (TOKEN, APP_ID, "secret"):
        assert secret not in str(logs)


async def test_requests_are_counted_by_api_and_status(api: Api) -> None:
    """Known paths are counted by name, all others as one."""

    def count(api_name: str, status: str) -> float:
        labels = {"api": api_name, "status": status}
        return api.registry.get_sample_value("voiceblocks_api_requests_total", labels) or 0

    before = count("ivr/middle/play", "success_ok")
    await api.status("ivr/middle/play", {"session": "S-1"})
    await api.status("made/up", {})
    assert count("ivr/middle/play", "success_ok") == before + 1
    assert count("unknown", "error_service_not_available") >= 1
    assert count("made/up", "error_service_not_available") == 0


async def test_the_reference_page_describes_every_api(
    admin: tuple[aiohttp.ClientSession, str],
) -> None:
    """Every path, parameter and status is there, and nothing is loaded from elsewhere."""
    http, url = admin
    async with http.get(f"{url}/docs") as response:
        assert response.status == 200
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        page = await response.text()
    assert "https://voice.example/open/" in page
    for path, request_class in APIS.items():
        assert f"<code>{path}</code>" in page
        for parameter in request_class.parameters:
            assert f"<code>{parameter.name}</code>" in page
            for status in parameter.statuses:
                assert f"<code>{status}</code>" in page
                assert escape(STATUS_TEXTS[status]) in page
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


async def test_the_openapi_document(admin: tuple[aiohttp.ClientSession, str]) -> None:
    """Each block has a GET and a POST with the same parameters, required ones marked."""
    http, url = admin
    async with http.get(f"{url}/openapi.json") as response:
        document = await response.json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {f"/open/{path}" for path in APIS}
    record = document["paths"]["/open/ivr/middle/record"]
    query = {item["name"]: item["required"] for item in record["get"]["parameters"]}
    form = record["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert set(form["properties"]) == set(query)
    assert set(form["required"]) == {name for name, required in query.items() if required}
    assert set(form["required"]) == {"app_id", "access_token", "session"}
    answer = record["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert "error_invalid_max_duration" in answer["properties"]["status"]["enum"]


async def test_metrics_are_shown(admin: tuple[aiohttp.ClientSession, str]) -> None:
    """Prometheus reads what was counted."""
    http, url = admin
    async with http.get(f"{url}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        text = await response.text()
    sample = 'voiceblocks_api_requests_total{api="ivr/middle/record",status="success_ok"} 1.0'
    assert sample in text


async def _send(api: Api, *pieces: bytes) -> tuple[list[bytes], asyncio.StreamReader]:
    """Send pieces, each after something came back for the one before it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    answers = []
    for piece in pieces:
        writer.write(piece)
        answers.append(await reader.readuntil(b"\r\n\r\n"))
    writer.close()
    return answers, reader


async def test_expect_100_continue(api: Api) -> None:
    """.NET and libcurl ask before they send a body: they are told to go on, then answered."""
    body = f"app_id={APP_ID}&access_token={TOKEN}&session=S-1".encode()
    head = (
        b"POST /open/ivr/middle/record HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    (first, second), reader = await _send(api, head, body)
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert await reader.readexactly(24) == b'{"status": "success_ok"}'


async def test_an_announced_flood_is_refused_unread(api: Api) -> None:
    """A body that is announced as far too large is not waited for, and the connection ends."""
    head = (
        b"POST /open/ivr/middle/record HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Length: 99999999999\r\n\r\n"
    )
    (answer,), reader = await _send(api, head)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close\r\n" in answer
    assert await reader.read() == b'{"status": "error_malformed_params"}'


async def test_a_client_that_leaves_harms_nobody(api: Api) -> None:
    """Half a body and a closed connection leave no trace in the log of failures."""
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(
            b"POST /open/ivr/middle/record HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\napp"
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert await api.status("ivr/middle/record", {"session": "S-1"}) == "success_ok"
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_answers_are_not_held_back_by_nagle(api: Api) -> None:
    """A kept connection answers a hundred requests without waiting for acknowledgements."""
    started = asyncio.get_running_loop().time()
    for _ in range(100):
        await api.status("ivr/middle/record", {"session": "S-1"})
    assert asyncio.get_running_loop().time() - started < 3


async def test_an_address_in_use_is_a_sentence() -> None:
    """The operator is told which address cannot be listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        app = create_admin_app(
            public_url="http://x", registry=CollectorRegistry(), speakers_of=lambda _language: {}
        )
        server = HttpServer(app, "127.0.0.1", port)
        with pytest.raises(StartupError, match=rf"127\.0\.0\.1:{port}"):
            await server.start()
        await server.stop()
