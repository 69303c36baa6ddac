"""`/open/…` over real HTTP: the order of checks, and the shapes that real clients send."""

from __future__ import annotations

import json
from collections.abc import Iterator

import aiohttp
import pytest
from structlog.testing import capture_logs

from voiceblocks.api.rate_limits import InMemoryRateLimiter
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.msg import SpeechPart, TextPart, UrlPart
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.registry import APIS
from voiceblocks.errors import InvalidRequest, SynthesisError
from voiceblocks.ids import SessionId
from voiceblocks.sessions.errors import (
    SessionAccessDenied,
    SessionEnded,
    SessionNotOnHold,
    SessionNotReady,
    UnknownSession,
)
from voiceblocks.system_clock import SystemClock

from .conftest import APP_ID, TOKEN, Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECORD = "ivr/middle/record"
CREDENTIALS = f"app_id={APP_ID}&access_token={TOKEN}"

# What is changed in a good request, and the status that it gets. For each block.
MALFORMED: list[tuple[dict[str, str], str]] = [
    ({"app_id": ""}, "error_app_id_param_missing"),
    ({"access_token": ""}, "error_access_token_param_missing"),
    ({"access_token": "wrong"}, "error_invalid_access_token"),
    ({"access_token": TOKEN.lower()}, "error_invalid_access_token"),
    ({"app_id": "wrong"}, "error_invalid_app_id"),
    ({"session": ""}, "error_session_param_missing"),
    ({"msg": "x" * 1001}, "error_msg_invalid_length"),
    ({"msg": "<b>x</b>"}, "error_msg_invalid_xml"),
    ({"msg": "<speech language='zh'>x"}, "error_msg_invalid_xml"),
    ({"msg": "a\x07b"}, "error_msg_invalid_xml"),
    ({"msg": "<url>nonsense</url>"}, "error_msg_invalid_url"),
    ({"msg": "<url>http://u:p@a.example/x.mp3</url>"}, "error_msg_invalid_url"),
    ({"msg": "<url>http://a.example/x.ogg</url>"}, "error_msg_invalid_file_format"),
    ({"max_duration": "0"}, "error_invalid_max_duration"),
    ({"max_duration": "86401"}, "error_invalid_max_duration"),
    ({"max_duration": "-5"}, "error_invalid_max_duration"),
    ({"max_duration": "1.5"}, "error_invalid_max_duration"),
    ({"max_duration": "ten"}, "error_invalid_max_duration"),
    ({"max_duration": "\u0661\u0662"}, "error_invalid_max_duration"),
    ({"tag": "x" * 257}, "error_tag_invalid_length"),
    ({"notify_url": "nonsense"}, "error_invalid_notify_url"),
    ({"notify_url": "ftp://a.example/"}, "error_invalid_notify_url"),
    ({"notify_url": "http://u:p@a.example/"}, "error_invalid_notify_url"),
    ({"notify_url": "http://a.example/" + "x" * 3984}, "error_invalid_notify_url"),
    ({"tag": "a\0b"}, "error_malformed_params"),
    ({"dest": ""}, "error_dest_param_missing"),
    ({"dest": "nobody"}, "error_dest_invalid"),
    ({"dest": "room:a b"}, "error_invalid_room"),
    ({"dest1": ""}, "error_dest1_param_missing"),
    ({"dest1": "+"}, "error_dest1_invalid"),
    ({"dest2": ""}, "error_dest2_param_missing"),
    ({"dest2": "999"}, "error_dest2_invalid"),
    ({"dest2": "6591234567"}, "error_same_dest1_dest2"),
    ({"room": "a-b"}, "error_invalid_room"),
    ({"caller_id": "nobody"}, "error_caller_id_invalid"),
    ({"max_duration": "0"}, "error_max_duration_invalid"),
    ({"on_failure": "x"}, "error_on_failure_invalid"),
    ({"monitor_notify_url": "nonsense"}, "error_invalid_notify_url"),
    ({"notify_url": ""}, "error_notify_url_param_missing"),
    ({"txn_ref": ""}, "error_txn_ref_param_missing"),
    ({"action": ""}, "error_action_param_missing"),
    ({"action": "x"}, "error_action_invalid"),
    ({"recording": ""}, "error_recording_param_missing"),
    ({"recording": "rec-1"}, "error_recording_invalid"),
    ({"recording": "../secret.key"}, "error_recording_invalid"),
    ({"reason": "x" * 501}, "error_reason_invalid_length"),
    ({"ttl": "0"}, "error_ttl_invalid"),
    ({"once": "maybe"}, "error_once_invalid"),
    ({"from": "x"}, "error_from_invalid"),
    ({"to": "x"}, "error_to_invalid"),
    ({"format": "ogg"}, "error_invalid_format"),
    ({"beep": "maybe"}, "error_invalid_beep"),
    ({"finish_key": "x"}, "error_invalid_finish_key"),
    ({"max_silence": "x"}, "error_invalid_max_silence"),
    ({"trim": "x"}, "error_invalid_trim"),
    ({"country": ""}, "error_country_param_missing"),
    ({"country": "US"}, "error_state_param_missing"),
    ({"number": ""}, "error_number_param_missing"),
    ({"number": "nobody"}, "error_number_invalid"),
    ({"duration": ""}, "error_duration_param_missing"),
    ({"duration": "x"}, "error_invalid_duration"),
    ({"forward_to": "nonsense"}, "error_forward_to_invalid"),
    ({"mode": "x"}, "error_mode_invalid"),
    ({"page": "0"}, "error_page_invalid"),
    ({"page_size": "0"}, "error_page_size_invalid"),
]


# What some API or other cannot do without.
REQUIRED = {
    "session": "S-1",
    "notify_url": "https://a.example/h",
    "dest": "+6591234567",
    "dest1": "+6591234567",
    "dest2": "+6598765432",
    "txn_ref": "AA-S-1-abc",
    "action": "mute",
    "recording": "rec-" + "0f" * 16,
    "country": "SG",
    "number": "+6531580000",
    "duration": "1",
}


def _cases() -> Iterator[tuple[str, dict[str, str], str]]:
    for path, request_class in APIS.items():
        statuses = {item.name: item.statuses for item in request_class.parameters}
        if not any(item.name == "dest1" and item.required for item in request_class.parameters):
            # Its absence is the account's registered number, which only the workflow knows.
            statuses["dest1"] = tuple(s for s in statuses.get("dest1", ()) if "missing" not in s)
        for change, status in MALFORMED:
            (name,) = change
            credential = name in {"app_id", "access_token"}
            if credential or status in {*statuses.get(name, ()), "error_malformed_params"}:
                yield path, change, status


async def test_every_malformed_request_has_its_status_and_changes_nothing(api: Api) -> None:
    """Each API with each malformed parameter, by GET and by POST."""
    for path, change, status in _cases():
        for method in ("GET", "POST"):
            assert await api.status(path, {**REQUIRED, **change}, method) == status, (path, change)
    assert api.submitter.commands == []
    assert api.calls.requests == []


async def test_a_good_request_is_submitted_and_answered(api: Api) -> None:
    """GET and POST behave the same: HTTP 200, JSON, and the command as it was sent."""
    request = {
        "session": "S-1",
        "msg": "Please wait & <3",
        "max_duration": "30",
        "tag": "名 1+2",
        "notify_url": "https://a.example/h?app_state=gather&x=%20",
    }
    for method in ("GET", "POST"):
        assert await api.status(RECORD, request, method) == "success_ok"
    expected = RecordCommand(
        session=SessionId("S-1"),
        msg=(TextPart("Please wait & <3"),),
        max_duration_s=30,
        tag="名 1+2",
        notify_url="https://a.example/h?app_state=gather&x=%20",
    )
    assert api.submitter.commands == [expected, expected]


async def test_the_answer_s_form(api: Api) -> None:
    """One ASCII JSON object, labelled so, never cached; extra fields stand beside status."""
    api.submitter.extra = {"room": "R請"}
    async with api.http.get(f"{api.url}/open/{RECORD}?{CREDENTIALS}&session=S-1") as response:
        body = await response.read()
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        assert "Server" not in response.headers
    assert body.isascii()
    assert body.startswith(b"{")
    assert json.loads(body) == {"status": "success_ok", "room": "R請"}


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "HEAD"]
)
async def test_other_methods(api: Api, method: str) -> None:
    """Only GET and POST do anything; others get HTTP 200 and their status (HEAD: no body)."""
    url = f"{api.url}/open/{RECORD}?{CREDENTIALS}&session=S-1"
    async with api.http.request(method, url, data=b"tag=x") as response:
        assert response.status == 200
        if method != "HEAD":
            assert await response.json() == {"status": "error_invalid_http_method"}
    assert api.submitter.commands == []


@pytest.mark.parametrize("path", ["", "/", "/ivr", "/ivr/middle/dance", "/IVR/middle/record"])
async def test_paths_without_an_api(api: Api, path: str) -> None:
    """They answer HTTP 200 too, with a status that old libraries know."""
    async with api.http.post(f"{api.url}/open{path}", data=CREDENTIALS) as response:
        assert response.status == 200
        assert await response.json() == {"status": "error_service_not_available"}


@pytest.mark.parametrize("path", [f"//{RECORD}", f"/{RECORD}/", "/ivr//middle/record"])
async def test_a_slash_too_many(api: Api, path: str) -> None:
    """Clients that join base and path carelessly get through."""
    url = f"{api.url}/open{path}?{CREDENTIALS}&session=S-1"
    async with api.http.post(url) as response:
        assert await response.json() == {"status": "success_ok"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"session=%FF", "error_malformed_params"),
        (b"session=\xe8\xab", "error_malformed_params"),
        (b"unknown=%C0%80", "error_malformed_params"),
        (b"&" * 1000, "error_malformed_params"),
        (b"session=S-1&tag=" + b"x" * 1_000_000, "error_malformed_params"),
        (b'{"session": "S-1"}', "error_session_param_missing"),
        (b"", "error_session_param_missing"),
        (b"&&=&x&session=S-1&%", "success_ok"),
    ],
)
async def test_bodies(api: Api, body: bytes, status: str) -> None:
    """Unreadable bytes and too much of them are malformed; stray pieces are not."""
    url = f"{api.url}/open/{RECORD}?{CREDENTIALS}"
    async with api.http.post(url, data=body) as response:
        assert response.status == 200
        assert await response.json() == {"status": status}


async def test_the_order_of_checks(api: Api) -> None:
    """Method, bytes, missing, token, application, then the block's own parameters."""
    url = f"{api.url}/open/{RECORD}"
    steps = [
        ("PUT", b"tag=%FF", "error_invalid_http_method"),
        ("POST", b"tag=%FF", "error_malformed_params"),
        ("POST", b"tag=x", "error_app_id_param_missing"),
        ("POST", b"app_id=wrong", "error_access_token_param_missing"),
        ("POST", b"app_id=wrong&access_token=wrong", "error_invalid_access_token"),
        ("POST", f"app_id=wrong&access_token={TOKEN}".encode(), "error_invalid_app_id"),
        ("POST", f"{CREDENTIALS}&max_duration=x".encode(), "error_session_param_missing"),
        ("POST", f"{CREDENTIALS}&session=S&max_duration=x".encode(), "error_invalid_max_duration"),
    ]
    for method, body, status in steps:
        async with api.http.request(method, url, data=body) as response:
            assert await response.json() == {"status": status}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownSession("S-1"), "error_invalid_session"),
        (SessionAccessDenied("S-1"), "error_session_access_denied"),
        (SessionEnded("S-1"), "error_session_ended"),
        (SessionNotReady("S-1"), "error_session_not_ready"),
        (SessionNotOnHold("S-1"), "error_session_not_on_hold"),
        (SynthesisError("x"), "error_internal_server_error"),
        (InvalidRequest("error_msg_download_failed"), "error_msg_download_failed"),
        (InvalidRequest("error_msg_invalid_file_size"), "error_msg_invalid_file_size"),
        (ValueError("x"), "error_internal_server_error"),
    ],
)
async def test_what_the_workflow_refuses(api: Api, error: Exception, status: str) -> None:
    """The exceptions of the workflow come out as their statuses, in HTTP 200."""
    api.submitter.error = error
    assert await api.status(RECORD, {"session": "S-1"}) == status


async def test_an_unexpected_failure_is_logged_without_parameters(api: Api) -> None:
    """The traceback says where and through what, but quotes nothing that was sent."""
    quoted = "quoted-by-a-driver"
    try:
        raise KeyError(quoted)
    except KeyError as cause:
        error = RuntimeError(f"params: {TOKEN}")
        error.__cause__ = cause
    api.submitter.error = error
    with capture_logs() as logs:
        assert await api.status(RECORD, {"session": "S-secret"}) == "error_internal_server_error"
    (entry,) = [line for line in logs if line["event"] == "request_failed"]
    assert "RuntimeError" in entry["traceback"]
    assert "KeyError" in entry["traceback"]
    assert "in submit" in entry["traceback"]
    for secret in (TOKEN, "S-secret", quoted):
        assert secret not in str(logs)


async def test_the_rate_limit_is_for_each_api(api: Api) -> None:
    """The fourth request of one API in a minute is refused, before it is read; others pass."""
    api.limiter.real = InMemoryRateLimiter(3, clock=SystemClock())
    for _ in range(3):
        assert await api.status(RECORD, {"session": "S-1"}) == "success_ok"
    assert await api.status(RECORD, {"session": ""}) == "error_rate_limit_exceeded"
    assert await api.status("ivr/middle/play", {"session": "S-1"}) == "success_ok"
    wrong = {"access_token": "wrong"}
    assert await api.status(RECORD, wrong) == "error_invalid_access_token"
    assert len(api.submitter.commands) == 4


# Real clients, by section 15 of the collected facts.


async def test_dotnet_sends_every_field_empty(api: Api) -> None:
    """The .NET and Go libraries' empty parameters mean the defaults."""
    body = (
        f"{CREDENTIALS}&session=S-1&caller_id=&tag=&notify_url=&msg=&max_digits=&timeout=&attempts="
        "&max_duration=&on_failure="
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with api.http.post(f"{api.url}/open/{RECORD}", data=body, headers=headers) as response:
        assert await response.json() == {"status": "success_ok"}
    assert api.submitter.commands == [RecordCommand(session=SessionId("S-1"))]


async def test_javascript_labels_its_form_as_json(api: Api) -> None:
    """SantaCall posts an unescaped form with a JSON label: two roots, two blanks, raw text."""
    body = (
        f"{CREDENTIALS}&session=S-1&dest=+6591234567"
        '&msg=<speech language="en"  gender="male">Ho ho, it\'s 100% me</speech>'
        "<url>http://a.example/song.mp3</url>"
    )
    headers = {"Content-Type": "application/json"}
    url = f"{api.url}/open/ivr/middle/play"
    async with api.http.post(url, data=body.encode(), headers=headers) as response:
        assert await response.json() == {"status": "success_ok"}
    assert api.submitter.commands == [
        PlayCommand(
            session=SessionId("S-1"),
            msg=(
                SpeechPart("Ho ho, it's 100% me", "en", "male"),
                UrlPart("http://a.example/song.mp3"),
            ),
        )
    ]


async def test_javascript_loses_what_follows_an_ampersand(api: Api) -> None:
    """An unescaped & cuts the message there; the rest is a stray pair that harms nobody."""
    body = f"{CREDENTIALS}&session=S-1&msg=fish & chips"
    async with api.http.post(f"{api.url}/open/ivr/middle/play", data=body) as response:
        assert await response.json() == {"status": "success_ok"}
    assert api.submitter.commands[0].msg == (TextPart("fish "),)


async def test_python_sends_everything_by_get(api: Api) -> None:
    """The Python libraries' GET, with parameters that nobody knows."""
    request = {"session": "S-1", "force": "enabled", "msg": "Bye", "appVersion": "1"}
    assert await api.status("ivr/end/hangup", request, "GET") == "success_ok"
    assert api.submitter.commands == [HangupCommand(session=SessionId("S-1"), force=True)]


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "x"])
async def test_the_content_type_does_not_matter(api: Api, content_type: str) -> None:
    """A form is a form, whatever its label says."""
    body = f"{CREDENTIALS}&session=S-1"
    headers = {"Content-Type": content_type}
    async with api.http.post(f"{api.url}/open/{RECORD}", data=body, headers=headers) as response:
        assert await response.json() == {"status": "success_ok"}


async def test_real_multipart_has_no_parameters(api: Api) -> None:
    """Multipart is not read (no API here takes files): its parameters are missing."""
    form = aiohttp.FormData({"app_id": APP_ID, "access_token": TOKEN}, default_to_multipart=True)
    async with api.http.post(f"{api.url}/open/{RECORD}", data=form) as response:
        assert await response.json() == {"status": "error_app_id_param_missing"}
