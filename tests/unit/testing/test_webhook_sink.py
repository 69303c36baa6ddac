"""The webhook sink that users test their applications with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from voiceblocks.testing.webhook_sink import Drop, Hang, ReceivedNotification, Reply, WebhookSink
from voiceblocks.webhook_signatures import HOIIO_HEADER as HEADER
from voiceblocks.webhook_signatures import hoiio_signature as signature

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that any application's sender could be."""
    async with aiohttp.ClientSession() as session:
        yield session


async def post(client: aiohttp.ClientSession, url: str, body: str = "", **headers: str) -> int:
    """POST a form; return the status."""
    async with client.post(
        url, data=body.encode(), headers={**FORM, **headers}, allow_redirects=False
    ) as response:
        await response.read()
        return response.status


async def test_it_records_what_came(client: aiohttp.ClientSession) -> None:
    """Method, path, query, body, headers and signature of a request can be asserted on."""
    body = "ivr_block=play&from=%2B65&tag="
    headers = {HEADER: signature(body.encode(), "tok"), "X-Voiceblocks-Attempt": "2"}
    async with WebhookSink() as sink:
        assert await post(client, f"{sink.url}?own=1&tag=", body, **headers) == 200
        got = await sink.next(5)
    assert (got.method, got.path, got.attempt) == ("POST", "/notify", 2)
    assert got.query == {"own": "1", "tag": ""}
    assert got.body == {"ivr_block": "play", "from": "+65", "tag": ""}
    assert got.verify_signature("tok")
    assert not got.verify_signature("other")


async def test_next_finds_by_parameters(client: aiohttp.ClientSession) -> None:
    """`next` skips what does not match, and returns each notification once."""
    async with WebhookSink() as sink:
        for block in ("answer", "record", "record"):
            await post(client, sink.url, f"ivr_block={block}&session=S")
        assert (await sink.next(5, ivr_block="record")).body["ivr_block"] == "record"
        assert (await sink.next(5)).body["ivr_block"] == "answer"
        assert (await sink.next(5, session="S")).body["ivr_block"] == "record"
        with pytest.raises(TimeoutError, match=r"'answer', 'record', 'record'"):
            await sink.next(0.01)
        assert len(sink.received) == 3


async def test_next_waits(client: aiohttp.ClientSession) -> None:
    """`next` may be called before the notification comes."""
    async with WebhookSink() as sink:
        waiting = asyncio.create_task(sink.next(5, tag="late"))
        await post(client, sink.url, "tag=early")
        await post(client, sink.url, "tag=late")
        assert (await waiting).body["tag"] == "late"


async def test_scripted_answers(client: aiohttp.ClientSession) -> None:
    """Answers come in the order of the script, then the standing one."""
    async with WebhookSink() as sink:
        sink.script(503, Reply(307, location="/other"), Reply(201, delay_s=0.01), then=404)
        assert [await post(client, sink.url) for _ in range(5)] == [503, 307, 201, 404, 404]


@pytest.mark.parametrize("step", [Drop(), Hang()])
async def test_no_answer(client: aiohttp.ClientSession, step: Drop | Hang) -> None:
    """A dropped request and one that hangs until the sink stops get no answer, and are kept."""
    sink = WebhookSink()
    await sink.start()
    sink.script(step)
    request = asyncio.create_task(post(client, sink.url, "tag=x"))
    await sink.next(5, tag="x")
    await sink.stop()
    with pytest.raises(aiohttp.ClientError):
        await request


async def test_stop_refuses_and_start_takes_the_same_port(client: aiohttp.ClientSession) -> None:
    """A server that is down for a while can be played."""
    sink = WebhookSink()
    await sink.start()
    url = sink.url
    await sink.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await post(client, url)
    await sink.start()
    assert sink.url == url
    assert await post(client, url) == 200
    await sink.stop()


async def test_hook_runs_inside_the_handler(client: aiohttp.ClientSession) -> None:
    """The hook runs before the answer, and what it raises is an answer of 500."""
    seen: list[str] = []

    async def act(notification: ReceivedNotification) -> None:
        seen.append(notification.body["tag"])
        if notification.body["tag"] == "bad":
            raise ValueError("bug in the application")

    async with WebhookSink(act) as sink:
        assert await post(client, sink.url, "tag=good") == 200
        assert await post(client, sink.url, "tag=bad") == 500
        assert [str(error) for error in sink.errors] == ["bug in the application"]
    assert seen == ["good", "bad"]
