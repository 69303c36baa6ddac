"""Requests of the client: what they send, and how answers are read, sync and async."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from voiceblocks.blocks.registry import APIS
from voiceblocks.client import ApiError, AsyncClient, Client, RequestFailed
from voiceblocks.client import requests_account as account
from voiceblocks.client import requests_ivr as ivr
from voiceblocks.client import requests_recording as recording
from voiceblocks.client import requests_voice as voice
from voiceblocks.client.answers import GMT_PLUS_8
from voiceblocks.client.request import Request

CALL = {
    "status": "success_ok", "txn_ref": "AA-S-1", "tag": "t", "dest1": "+651",
    "call_status_dest1": "answered", "date": "2026-01-02 03:04:05", "duration": "2",
    "currency": "SGD", "rate": "0.020", "debit": "0.040",
}  # fmt: skip

EVERY: dict[str, Request[Any]] = {
    one.path: one
    for one in (
        ivr.dial("+651", "m", caller_id="private", max_duration=1, ring_time=5, notify_url="u"),
        ivr.play("S", "m", tag="t", notify_url="u"),
        ivr.gather("S", "u", msg="m", max_digits=1, timeout=2, attempts=3, tag="t"),
        ivr.record("S", "u", msg="m", max_duration=4, tag="t", beep=False),
        ivr.monitor("S", "u", msg="m", monitor_notify_url="v", tag="t"),
        ivr.hold("S", "m"),
        ivr.unhold("S", tag="t", notify_url="u"),
        ivr.transfer("S", "room:", msg="m", caller_id="c", on_failure="continue", ring_time=5),
        ivr.hangup("S", msg="m", force=True, tag="t", notify_url="u"),
        voice.call("+651", "+652", caller_id="c", max_duration=5, tag="t", notify_url="u"),
        voice.conference("+651", "+652", room="r", caller_id="c", tag="t", notify_url="u"),
        voice.moderate("AA", "kick"),
        voice.hangup("AA"),
        voice.status("AA"),
        voice.history(datetime(2026, 1, 1, tzinfo=UTC), None, 2),
        voice.rate("+651", "+652"),
        recording.pause("S-1", block="monitor"),
        recording.resume("S-1"),
        recording.health("rec-1"),
        recording.link("rec-1", ttl=60, once=True),
        recording.revoke("rec-1", reason="asked"),
        recording.delete("rec-1", reason="asked"),
    )
}


@pytest.mark.parametrize("path", APIS)
def test_every_api_has_its_request(path: str) -> None:
    """The client can ask for all that the server documents, and names only what it knows."""
    if path == "voice/conference":
        pytest.skip("the old name of conference/call")
    if path.startswith(("user/", "number/")):
        pytest.skip("their requests are read in a test of their own")
    known = {parameter.name for parameter in APIS[path].parameters}
    assert set(EVERY[path].fields) <= known


def test_what_is_sent() -> None:
    """Forms hold credentials and what was given, in UTF-8; what was not given is left out."""
    sent = ivr.hangup("S-1", msg="再见 & bye").form("app", "token")
    assert sent == (b"app_id=app&access_token=token&session=S-1&msg=%E5%86%8D%E8%A7%81+%26+bye")
    assert ivr.hangup("S", force=True).fields == {"session": "S", "force": "enabled"}
    assert EVERY["voice/get_history"].fields == {"page": "2", "from": "2026-01-01 08:00:00"}
    assert EVERY["conference/call"].fields["dest"] == "+651,+652"


def test_what_is_read() -> None:
    """Answers become values: times with their zone, money exact, both shapes of txn_refs."""
    told = voice.status("AA").answer(json.dumps(CALL).encode())
    assert told.date == datetime(2026, 1, 2, 3, 4, 5, tzinfo=GMT_PLUS_8)
    assert (told.rate, told.debit, told.duration_min) == (Decimal("0.020"), Decimal("0.040"), 2)
    ongoing = {key: CALL[key] for key in ("status", "txn_ref", "tag")}
    assert voice.status("AA").answer(json.dumps(ongoing).encode()).debit is None
    page = {"status": "success_ok", "total_entries_count": "1", "entries": [CALL]}
    assert voice.history().answer(json.dumps(page).encode()).entries == (told,)
    for refs in (["a", "b"], "a,b"):
        body = json.dumps({"status": "success_ok", "room": "R", "txn_refs": refs})
        assert voice.conference("+651").answer(body.encode()).txn_refs == ("a", "b")


def test_what_is_read_of_accounts_and_numbers() -> None:
    """The shapes of the original's number and account APIs are read."""

    def answer(request: Request[Any], **told: object) -> Any:
        return request.answer(json.dumps({"status": "success_ok", **told}).encode())

    credit = answer(
        account.balance(), currency="SGD", balance="54.650", points="50.000", bonus="4.650"
    )
    assert credit.balance == credit.points + credit.bonus
    who = answer(account.info(), uid="AA-1", name="n", currency="SGD", caller_ids=["+65", "p"])
    assert who.caller_ids == ("+65", "p")
    state = {"code": "CA", "name": "California", "capability": ["VOICE"]}
    country = {"code": "US", "name": "USA", "prefix": "1", "states": [state]}
    (found,) = answer(account.available_countries(), entries=[country])
    assert found.states[0].capability == ("VOICE",)
    for entry in ("+1", {"number": "+1", "capability": ["VOICE"]}):
        page = answer(
            account.available_numbers("US", "CA"), total_entries_count="9", entries=[entry]
        )
        assert page.numbers == ("+1",)
    (price,) = answer(
        account.rate("US"), currency="USD", entries=[{"duration": "1", "rate": "4.000"}]
    )
    assert (price.duration_months, price.rate) == (1, Decimal("4.000"))
    taken = answer(account.subscribe("+1", 1), currency="USD", debit="4.000", expiry="2027-01-01")
    assert taken.expiry == date(2027, 1, 1)
    number = {
        "number": "+1",
        "expiry": "2027-01-01",
        "auto_extend_status": "enabled",
        "state": "CA",
    }
    (mine,) = answer(account.subscribed_numbers(), entries=[number])
    assert (mine.auto_extend, mine.state, mine.forward_to) == (True, "CA", "")
    assert account.update_forwarding("+1", "http://u/").fields == {
        "number": "+1", "forward_to": "http://u/"
    }  # fmt: skip


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b"\xff", b'{"status":"success_ok"}']
)
def test_what_is_no_answer(body: bytes) -> None:
    """A proxy's page, an empty body, an answer with its facts missing: one exception."""
    with pytest.raises(RequestFailed):
        ivr.dial("+651").answer(body)


@pytest.fixture
async def server() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """A server that refuses what has the session `bad`; its URL, and what it got."""
    got: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        got.append({"path": request.path, **form})
        if form.get("session") == "bad":
            return web.json_response({"status": "error_invalid_session"})
        return web.json_response({"status": "success_ok", "txn_ref": "AA", "session": "S-1"})

    site = web.Application()
    site.add_routes([web.post("/open/{path:.*}", answer)])
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/open", got
    await runner.cleanup()


async def test_both_clients(server: tuple[str, list[dict[str, str]]]) -> None:
    """The synchronous and the asynchronous one send the same and fail in the same way."""
    url, got = server
    client = Client(url, "app", "token")
    assert (await asyncio.to_thread(client.ivr.dial, "+651", "hi")).session == "S-1"
    with pytest.raises(ApiError, match="ivr/middle/play: error_invalid_session") as refused:
        await asyncio.to_thread(client.ivr.play, "bad")
    assert refused.value.status == "error_invalid_session"
    async with AsyncClient(url, "app", "token") as later:
        assert (await later.ivr.dial("+651", "hi")).session == "S-1"
        with pytest.raises(ApiError):
            await later.ivr.play("bad")
    assert got[:2] == got[2:]
    assert got[0] == {
        "path": "/open/ivr/start/dial", "app_id": "app", "access_token": "token",
        "dest": "+651", "msg": "hi",
    }  # fmt: skip


async def test_nobody_there(unused_port: Callable[[], int]) -> None:
    """No connection is a `RequestFailed` that names no secret."""
    url = f"http://127.0.0.1:{unused_port()}/open/"
    with pytest.raises(RequestFailed) as failed:
        Client(url, "app", "secrettoken", timeout_s=5).account.balance()
    assert "secrettoken" not in str(failed.value)
    async with AsyncClient(url, "app", "secrettoken", timeout_s=5) as later:
        with pytest.raises(RequestFailed):
            await later.account.balance()
    with pytest.raises(ValueError, match="write http"):
        Client("file:///etc", "app", "token")


def test_the_import_is_light() -> None:
    """Nothing of the server comes with it, and no library beside Python's own."""
    code = (
        "import sys, voiceblocks.client, voiceblocks.client.listener\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names))\n"
        "print(*sorted(n for n in sys.modules if n.startswith('voiceblocks.')"
        " and not n.startswith('voiceblocks.client')))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign, ours = said.stdout.splitlines()
    assert {n for n in foreign.split() if not n.startswith("_")} == {"voiceblocks"}
    assert ours == "voiceblocks.webhook_signatures"


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """Makes ports of loopback on which nobody listens."""
    import socket

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find
