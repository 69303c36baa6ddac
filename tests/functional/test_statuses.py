"""Every status of the Record page, provoked on a real call; each leaves the session as it was."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from tests.functional.calls import recording, ringing
from tests.harness import Application, ServerProcess
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

RECORD = "ivr/middle/record"

MALFORMED = [
    ({"access_token": ""}, "error_access_token_param_missing"),
    ({"app_id": ""}, "error_app_id_param_missing"),
    ({"session": ""}, "error_session_param_missing"),
    ({"access_token": "wrong"}, "error_invalid_access_token"),
    ({"app_id": "wrong"}, "error_invalid_app_id"),
    ({"session": "S-1-nobody"}, "error_invalid_session"),
    ({"max_duration": "0"}, "error_invalid_max_duration"),
    ({"max_duration": "86401"}, "error_invalid_max_duration"),
    ({"max_duration": "abc"}, "error_invalid_max_duration"),
    ({"max_duration": "1.5"}, "error_invalid_max_duration"),
    ({"tag": "x" * 257}, "error_tag_invalid_length"),
    ({"notify_url": "ftp://example.com/"}, "error_invalid_notify_url"),
    ({"notify_url": "http://127.0.0.1/" + "x" * 4000}, "error_invalid_notify_url"),
    ({"notify_url": "http://10.1.2.3/"}, "error_invalid_notify_url"),
    ({"notify_url": "http://no-such-host.invalid/"}, "error_unable_to_resolve_notify_url"),
    ({"msg": "x" * 1001}, "error_msg_invalid_length"),
    ({"msg": "<speech>never closed"}, "error_msg_invalid_xml"),
    ({"msg": '<speech language="xx">hello</speech>'}, "error_msg_invalid_language"),
    ({"msg": '<speech language="ja">こんにちは</speech>'}, "error_msg_invalid_language"),
    ({"msg": '<speech language="tl">kumusta</speech>'}, "error_msg_invalid_language"),
    ({"msg": '<speech gender="robot">hello</speech>'}, "error_msg_invalid_gender"),
    ({"msg": "<url>ftp://example.com/a.mp3</url>"}, "error_msg_invalid_url"),
    ({"msg": "<url>http://10.1.2.3/a.mp3</url>"}, "error_msg_invalid_url"),
    ({"msg": "<url>http://127.0.0.1:1024/a.ogg</url>"}, "error_msg_invalid_file_format"),
    # Nobody listens there, and it is no port that the guard refuses by itself.
    ({"msg": "<url>http://127.0.0.1:1024/a.mp3</url>"}, "error_msg_download_failed"),
    ({"msg": "。。。"}, "error_msg_cannot_convert_text"),
    # A voice of English would say "Chinese letter" twice.
    ({"msg": "你好"}, "error_msg_cannot_convert_text"),
]


@pytest.mark.parametrize(("wrong", "status"), MALFORMED)
async def test_a_malformed_request_changes_nothing(
    app: Application, phone: Phone, wrong: dict[str, str], status: str
) -> None:
    """Documented status, and the session still rings and takes the next good block."""
    call, session = await ringing(app, phone)
    good = {"session": session, "msg": "Hello.", "notify_url": app.url()}
    answer = await app.request(RECORD, **{**good, **wrong})
    assert answer == {"status": status}
    assert await app.block("ivr/end/hangup", session) == "success_ok"
    async with asyncio.timeout(5):
        await call.ended()


async def test_other_methods_are_refused(app: Application) -> None:
    """Anything but GET and POST: HTTP 200 with the documented status."""
    url = f"http://{app.server.http}/open/{RECORD}"
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        async with app.http.request(method, url) as reply:
            assert reply.status == 200
            assert await reply.json() == {"status": "error_invalid_http_method"}


async def test_bytes_that_are_no_text_are_refused(app: Application) -> None:
    """`error_malformed_params`, in a body as in a query."""
    url = f"http://{app.server.http}/open/{RECORD}"
    for body in (b"tag=%ff%fe", b"tag=\xff\xfe"):
        async with app.http.post(url, data=body) as reply:
            assert await reply.json() == {"status": "error_malformed_params"}


async def test_a_running_block_makes_the_session_not_ready(app: Application, phone: Phone) -> None:
    """`error_session_not_ready` for every block but a forced hangup."""
    call, session = await recording(app, phone)
    for path in ("ivr/middle/record", "ivr/middle/play", "ivr/end/hangup"):
        assert await app.block(path, session, notify_url=app.url()) == "error_session_not_ready"
    await call.media.press("#")
    assert (await app.told(ivr_block="record")).body["record_status"] == "success"


async def test_a_session_belongs_to_its_application(
    app: Application, server: ServerProcess, phone: Phone
) -> None:
    """`error_session_access_denied` for another application, also of a valid token."""
    _call, session = await ringing(app, phone)
    async with Application(server) as other:
        assert await other.block(RECORD, session) == "error_session_access_denied"
    assert await app.block("ivr/end/hangup", session) == "success_ok"


async def test_an_ended_call_takes_no_block(app: Application, phone: Phone) -> None:
    """`error_session_ended`."""
    call, session = await ringing(app, phone)
    call.hang_up()
    await app.told(ivr_block="answer", call_state="ended")
    assert await app.block(RECORD, session) == "error_session_ended"


async def test_custom_audio_is_checked_before_the_request_is_accepted(
    app: Application, phone: Phone
) -> None:
    """Missing, too large and not what its name says: each with its status."""

    async def missing(_request: web.Request) -> web.Response:
        return web.Response(status=404)

    async def huge(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (10 * 1024 * 1024 + 1))

    async def text(_request: web.Request) -> web.Response:
        return web.Response(text="this is no music")

    site = web.Application()
    site.add_routes(
        [
            web.get("/missing.mp3", missing),
            web.get("/huge.wav", huge),
            web.get("/text.mp3", text),
            web.get("/text.wav", text),
            web.get("/text.gsm", text),
        ]
    )
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    _call, session = await ringing(app, phone)
    expected = {
        "missing.mp3": "error_msg_download_failed",
        "huge.wav": "error_msg_invalid_file_size",
        "text.mp3": "error_msg_invalid_file_format",
        "text.wav": "error_msg_invalid_file_format",
        "text.gsm": "error_msg_invalid_file_format",
    }
    for name, status in expected.items():
        assert await app.block(RECORD, session, msg=f"<url>{base}/{name}</url>") == status
    await runner.cleanup()


async def test_a_broken_tls_handshake_refuses_the_notify_url(
    app: Application, phone: Phone
) -> None:
    """A host that speaks no TLS on an https URL."""

    async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(not_tls, "127.0.0.1", 0, family=socket.AF_INET)
    port = plain.sockets[0].getsockname()[1]
    _call, session = await ringing(app, phone)
    status = await app.block(RECORD, session, notify_url=f"https://127.0.0.1:{port}/")
    assert status == "error_unable_to_complete_ssl_handshake_notify_url"
    plain.close()
    await plain.wait_closed()


async def test_requests_are_limited_per_application(data_dir, phone: Phone) -> None:
    """`error_rate_limit_exceeded` beyond the setting, for this application only."""
    own = await ServerProcess(data_dir, {"RATE_LIMIT_IVR": "3"}).start()
    try:
        async with Application(own) as app, Application(own) as other:
            statuses = [await app.block(RECORD, "S-1-none") for _ in range(4)]
            assert statuses == ["error_invalid_session"] * 3 + ["error_rate_limit_exceeded"]
            assert await other.block(RECORD, "S-1-none") == "error_invalid_session"
    finally:
        await own.stop()
