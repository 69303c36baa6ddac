"""HTTP requests that are malformed in every way: their documented status, and nothing changes."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.functional.bad_input.aftermath import count_rows
from tests.functional.calls import ringing
from tests.harness import Application, ServerProcess
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


RECORD = "ivr/middle/record"
GOOD = "app_id={app_id}&access_token={token}&session={session}"

# What is sent as a form, and the status that the documents give it.
MALFORMED_FORMS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "error_app_id_param_missing"),
    "no token": (b"app_id={app_id}", "error_access_token_param_missing"),
    "an odd percent sign": (b"app_id=%&access_token=%zz%4", "error_invalid_access_token"),
    "an odd percent sign in a tag": (
        b"{good}&tag=100%&max_duration=%zz", "error_invalid_max_duration",
    ),
    "a NUL": (b"{good}&tag=a%00b", "error_malformed_params"),
    "a raw NUL": (b"{good}&tag=a\0b", "error_malformed_params"),
    "half a character": (b"{good}&tag=%e5%bc", "error_malformed_params"),
    "raw latin-1": (b"{good}&tag=\xfc", "error_malformed_params"),
    "a surrogate": (b"{good}&tag=%ed%a0%80", "error_malformed_params"),
    "an overlong NUL": (b"{good}&tag=%c0%80", "error_malformed_params"),
    "bad bytes in a name": (b"{good}&%ff=1", "error_malformed_params"),
    "over 1 MB": (b"{good}&tag=" + b"x" * 1_000_000, "error_malformed_params"),
    "2,000 fields": (b"{good}" + b"&a=b" * 2000, "error_malformed_params"),
    "60,000 escapes": (b"{good}&tag=" + b"%41" * 60_000, "error_malformed_params"),
    "JSON": (b'{"app_id": "x"}', "error_app_id_param_missing"),
    "multipart": (b'--b\r\nContent-Disposition: form-data; name="app_id"\r\n\r\nx\r\n--b--',
                  "error_app_id_param_missing"),
    "separators": (b"&&&&===&;;&=x&x", "error_app_id_param_missing"),
    "the first of two counts": (
        b"max_duration=0&max_duration=60&{good}", "error_invalid_max_duration",
    ),
    "two sessions": (b"session=S-1-nobody&{good}", "error_invalid_session"),
    "two tokens": (b"access_token=wrong&{good}", "error_invalid_access_token"),
    "names in capitals": (b"APP_ID={app_id}&ACCESS_TOKEN={token}", "error_app_id_param_missing"),
    "SQL": (b"{nosession}&session=' OR 1=1 --", "error_invalid_session"),
    "a long session": (b"{nosession}&session=" + b"S" * 100_000, "error_invalid_session"),
    "a number beyond all": (b"{good}&max_duration=" + b"9" * 5000, "error_invalid_max_duration"),
    "digits of another script": (
        b"{good}&max_duration=%D9%A1%D9%A0", "error_invalid_max_duration",
    ),
    "a long tag": (b"{good}&tag=" + b"t" * 257, "error_tag_invalid_length"),
    "an endless msg": (b"{good}&msg=" + b"m" * 50_000, "error_msg_invalid_length"),
    "nested tags": (b"{good}&msg=" + b"<speech>" * 100, "error_msg_invalid_xml"),
    "an entity bomb": (b"{good}&msg=<!DOCTYPE x [<!ENTITY a 'b'>]><speech>%26a;</speech>",
                       "error_msg_invalid_xml"),
    "a URL with a line break": (
        b"{good}&notify_url=http://127.0.0.1/%0d%0aX:y", "error_invalid_notify_url",
    ),
    "a URL of a file": (b"{good}&notify_url=file:///etc/passwd", "error_invalid_notify_url"),
    "a URL with a password": (b"{good}&notify_url=http://", "error_invalid_notify_url"),
}  # fmt: skip


async def _exchange(server: ServerProcess, raw: bytes, *, pieces: int = 1) -> bytes:
    """Send bytes to the HTTP port, in so many pieces; return all that comes back."""
    host, _, port = server.http.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        size = max(1, len(raw) // pieces)
        for start in range(0, len(raw), size):
            writer.write(raw[start : start + size])
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            if pieces > 1:
                await asyncio.sleep(0.01)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(2):
                while piece := await reader.read(65_536):
                    received += piece
                    if b"}" in received or received.startswith(b"HTTP/1.1 4"):
                        break
        return received
    finally:
        writer.close()


def _form(method: str, path: str, body: bytes, **headers: str) -> bytes:
    lines = [
        f"{method} /open/{path} HTTP/1.1",
        "Host: x",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_malformed_forms_change_nothing(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Each has its documented status, in HTTP 200; no row is added; the session is as it was."""
    call, session = await ringing(app, phone)
    fill = {
        b"{good}": b"app_id={app_id}&access_token={token}&session={session}",
        b"{nosession}": b"app_id={app_id}&access_token={token}",
        b"{app_id}": app.app_id.encode(),
        b"{token}": app.access_token.encode(),
        b"{session}": session.encode(),
    }
    before = count_rows(server)
    wrong = {}
    for name, (form, status) in MALFORMED_FORMS.items():
        body = form
        for key, value in fill.items():
            body = body.replace(key, value)
        answers = [await _exchange(server, _form("POST", RECORD, body))]
        answers.append(
            await _exchange(server, _form("POST", RECORD, body, Content_Type="text/json"))
        )
        for answer in answers:
            if not (answer.startswith(b"HTTP/1.1 200 ") and f'"{status}"'.encode() in answer):
                wrong[name] = answer[-200:]
    assert wrong == {}
    assert count_rows(server) == before
    assert await app.block("ivr/end/hangup", session) == "success_ok"
    async with asyncio.timeout(5):
        await call.ended()


NO_HTTP: dict[str, tuple[bytes, bytes]] = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", b"400"),
    "a SIP request": (b"INVITE sip:x@y SIP/2.0\r\nVia: x\r\n\r\n", b"400"),
    "no version": (b"GET /open/x\r\n\r\n", b""),
    "a letter as length": (b"POST /open/x HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
    "two lengths": (
        b"POST /open/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"400",
    ),
    "a chunk that is none": (
        b"POST /open/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", b"400",
    ),
    "a header of 200 KB": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", b""),
    "another path": (b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
    "the way up": (b"GET /recordings/../secret.key HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
    "the way up, escaped": (
        b"GET /recordings/%2e%2e%2fsecret.key HTTP/1.1\r\nHost: x\r\n\r\n", b"404",
    ),
    "no signature": (b"GET /recordings/rec-1.mp3 HTTP/1.1\r\nHost: x\r\n\r\n", b"403"),
    "bad bytes as signature": (
        b"GET /recordings/rec-1.mp3?Expires=%ff&KeyId=%00&Signature=\x80 HTTP/1.1\r\n\r\n", b"4",
    ),
    "the metrics in public": (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
    "a recording by POST": (
        b"POST /recordings/rec-1.mp3 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"405",
    ),
    "a method that HTTP never had": (b"DANCE /open/ivr/middle/record HTTP/1.1\r\n\r\n", b"400"),
}  # fmt: skip


async def test_what_is_no_http(server: ServerProcess, app: Application) -> None:
    """Other protocols, lying lengths and paths out of the tree: refused, and nothing is stored."""
    before = count_rows(server)
    wrong = {}
    for name, (raw, status) in NO_HTTP.items():
        answer = await _exchange(server, raw)
        if status and not answer.startswith(b"HTTP/1.1 " + status):
            wrong[name] = answer[:100]
    assert wrong == {}
    url = f"http://{server.http}/open/{RECORD}"
    for method in ("PUT", "PATCH", "PROPFIND", "HEAD"):
        async with app.http.request(method, url, data=b"x" * 100_000) as reply:
            assert reply.status == 200, method
            if method != "HEAD":
                assert await reply.json() == {"status": "error_invalid_http_method"}
    assert count_rows(server) == before


async def test_slow_and_broken_off_bodies(server: ServerProcess, app: Application) -> None:
    """A body that comes in drops is read to its end, one that never ends keeps nobody waiting."""
    before = count_rows(server)
    body = f"app_id={app.app_id}&access_token={app.access_token}&session=S-1-nobody".encode()
    broken = []
    host, _, port = server.http.rpartition(":")
    for _ in range(50):
        _reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(_form("POST", RECORD, body)[:-5])
        broken.append(writer)
    answer, quick = await asyncio.gather(
        _exchange(server, _form("POST", RECORD, body), pieces=60),
        app.block(RECORD, "S-1-nobody"),
    )
    assert b'"error_invalid_session"' in answer
    assert quick == "error_invalid_session"
    for writer in broken:
        writer.close()
    expecting = _form("POST", RECORD, body, Expect="100-continue")
    assert b"error_invalid_session" in await _exchange(server, expecting, pieces=20)
    huge = f"POST /open/{RECORD} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx"
    assert b'"error_malformed_params"' in await _exchange(server, huge.encode())
    assert count_rows(server) == before
