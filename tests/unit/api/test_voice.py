"""`dial`, `voice/…` and `conference/…` over real HTTP: their answers, and old clients' shapes."""

from __future__ import annotations

from typing import Any

import pytest

from voiceblocks.api.rate_limits import QUERY_APIS, InMemoryRateLimiter
from voiceblocks.blocks.call import CallCommand
from voiceblocks.blocks.conference import ConferenceCommand
from voiceblocks.blocks.delete_recording import DeleteRecordingCommand
from voiceblocks.blocks.dial import DialCommand
from voiceblocks.blocks.get_active import GetActiveCommand
from voiceblocks.blocks.get_balance import GetBalanceCommand
from voiceblocks.blocks.get_choices import GetChoicesCommand
from voiceblocks.blocks.get_countries import GetCountriesCommand
from voiceblocks.blocks.get_history import GetHistoryCommand
from voiceblocks.blocks.get_info import GetInfoCommand
from voiceblocks.blocks.get_rate import GetRateCommand
from voiceblocks.blocks.get_rates import GetRatesCommand
from voiceblocks.blocks.hold import HoldCommand
from voiceblocks.blocks.moderate import ModerateAction, ModerateCommand
from voiceblocks.blocks.msg import SpeechPart, UrlPart
from voiceblocks.blocks.pause_recording import PauseRecordingCommand
from voiceblocks.blocks.query_status import QueryStatusCommand
from voiceblocks.blocks.recording_health import RecordingHealthCommand
from voiceblocks.blocks.registry import APIS, SESSION_BLOCKS
from voiceblocks.blocks.renew_link import RenewLinkCommand
from voiceblocks.blocks.resume_recording import ResumeRecordingCommand
from voiceblocks.blocks.revoke_links import RevokeLinksCommand
from voiceblocks.blocks.running_recordings import RunningRecording
from voiceblocks.blocks.subscribe import SubscribeCommand
from voiceblocks.blocks.transfer import TransferCommand
from voiceblocks.blocks.unhold import UnholdCommand
from voiceblocks.blocks.update_forwarding import UpdateForwardingCommand
from voiceblocks.blocks.voice_hangup import VoiceHangupCommand
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import RecordingId, SessionId, TxnRef
from voiceblocks.system_clock import SystemClock

from .conftest import APP_ID, TOKEN, Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREDENTIALS = f"app_id={APP_ID}&access_token={TOKEN}"
DEST, OTHER = "+6591234567", "+6598765432"
REFS = ["AA-C-1-a", "AA-C-1-b"]
ID = "rec-" + "0f" * 16
RECORDING = f"{ID}.mp3"

REQUESTS = [
    ("ivr/start/dial", {"dest": DEST}, DialCommand(dest=DEST)),
    ("voice/call", {"dest2": DEST}, CallCommand(dest2=DEST)),
    ("conference/call", {"dest": DEST}, ConferenceCommand(dests=(DEST,))),
    ("voice/conference", {"dest": DEST}, ConferenceCommand(dests=(DEST,))),
    (
        "conference/moderate",
        {"txn_ref": REFS[0], "action": "kick"},
        ModerateCommand(txn_ref=TxnRef(REFS[0]), action=ModerateAction.KICK),
    ),
    ("voice/hangup", {"txn_ref": REFS[0]}, VoiceHangupCommand(txn_ref=TxnRef(REFS[0]))),
    ("voice/query_status", {"txn_ref": REFS[0]}, QueryStatusCommand(txn_ref=TxnRef(REFS[0]))),
    ("voice/get_history", {}, GetHistoryCommand()),
    (
        "recording/pause",
        {"session": "S-1-a", "block": "Monitor"},
        PauseRecordingCommand(session=SessionId("S-1-a"), begun_by=RunningRecording.MONITOR),
    ),
    (
        "recording/resume",
        {"session": "S-1-a"},
        ResumeRecordingCommand(session=SessionId("S-1-a")),
    ),
    (
        "recording/health",
        {"recording": RECORDING},
        RecordingHealthCommand(recording=RecordingId(ID)),
    ),
    ("recording/link", {"recording": RECORDING}, RenewLinkCommand(recording=RecordingId(ID))),
    ("recording/revoke", {"recording": ID}, RevokeLinksCommand(recording=RecordingId(ID))),
    ("recording/delete", {"recording": ID}, DeleteRecordingCommand(recording=RecordingId(ID))),
    ("voice/get_rate", {"dest1": DEST, "dest2": OTHER}, GetRateCommand(dest1=DEST, dest2=OTHER)),
    ("user/get_balance", {}, GetBalanceCommand()),
    ("user/get_info", {}, GetInfoCommand()),
    ("number/get_active", {}, GetActiveCommand()),
    ("number/get_countries", {}, GetCountriesCommand()),
    ("number/get_choices", {"country": "sg"}, GetChoicesCommand(country="SG")),
    ("number/get_rates", {"country": "SG"}, GetRatesCommand(country="SG")),
    (
        "number/subscribe",
        {"number": DEST, "duration": "12", "auto_extend": "enabled"},
        SubscribeCommand(number=DEST, months=12, auto_extend=True),
    ),
    (
        "number/update_forwarding",
        {"number": DEST, "forward_to": "https://a.example/"},
        UpdateForwardingCommand(number=DEST, forward_to="https://a.example/"),
    ),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("path", "sent", "request_"), REQUESTS)
async def test_each_request_gets_to_its_workflow(
    api: Api, path: str, sent: dict[str, str], request_: object, method: str
) -> None:
    """A path with its least parameters is read and handed on, by either method."""
    assert await api.status(path, sent, method) == "success_ok"
    assert api.calls.requests == [request_]
    assert api.submitter.commands == []


async def test_every_path_that_is_no_session_s_block_is_tried() -> None:
    """A new path without its line above is noticed."""
    assert {path for path, _, _ in REQUESTS} == set(APIS) - set(SESSION_BLOCKS)


@pytest.mark.parametrize(("path", "sent", "request_"), REQUESTS)
async def test_what_a_workflow_refuses(
    api: Api, path: str, sent: dict[str, str], request_: object
) -> None:
    """Its status comes out as it is, and nothing stands beside it."""
    api.calls.error = InvalidRequest("error_insufficient_credit")
    assert await api.answer(path, sent) == {"status": "error_insufficient_credit"}


async def test_the_answer_of_dial(api: Api) -> None:
    """Both ids, since every library wants both."""
    ids = {"txn_ref": "AA-S-1-a", "session": "S-1-b"}
    api.calls.answers["dial"] = ids
    assert await api.answer("ivr/start/dial", {"dest": DEST}) == {"status": "success_ok", **ids}


@pytest.mark.parametrize(
    ("path", "txn_refs"),
    [("conference/call", REFS), ("voice/conference", "AA-C-1-a,AA-C-1-b")],
)
async def test_the_two_shapes_of_txn_refs(api: Api, path: str, txn_refs: object) -> None:
    """The new path answers a list, the old one a text that every library cuts at its commas."""
    api.calls.answers["conference"] = {"txn_refs": REFS, "room": "R123"}
    answer = await api.answer(path, {"dest": f"{DEST},{OTHER}"})
    assert answer == {"status": "success_ok", "txn_refs": txn_refs, "room": "R123"}


async def test_answers_may_be_nested(api: Api) -> None:
    """Entries of a list are objects, and pass as the workflow made them."""
    page: dict[str, Any] = {
        "total_entries_count": "1",
        "entries_count": "1",
        "entries": [{"txn_ref": "AA-S-1-a", "tag": "", "call_status_dest1": "answered"}],
    }
    api.calls.answers["get_history"] = page
    assert await api.answer("voice/get_history", {}) == {"status": "success_ok", **page}


async def test_the_room_of_a_transfer(api: Api) -> None:
    """What the workflow says of a room stands in the answer; for a number it says nothing."""
    sent = {"session": "S-1", "dest": "room:"}
    api.submitter.extra = {"room": "R123"}
    assert await api.answer("ivr/end/transfer", sent) == {"status": "success_ok", "room": "R123"}


async def test_queries_have_a_limit_of_their_own(api: Api) -> None:
    """Each query API is counted by itself; calls and blocks go by the other limit."""
    api.limiter.real = InMemoryRateLimiter(2, queries_per_minute=1, clock=SystemClock())
    for path, sent, _ in REQUESTS:
        allowed = 1 if path in QUERY_APIS else 2
        statuses = [await api.status(path, sent) for _ in range(3)]
        expected = ["success_ok"] * allowed + ["error_rate_limit_exceeded"] * (3 - allowed)
        assert statuses == expected, path
    assert set(APIS) >= QUERY_APIS


# Real clients, by section 15 of the collected facts.


async def test_javascript_dials_unescaped_with_a_json_label(api: Api) -> None:
    """SantaCall's request: the plus is lost, the message has two roots, the label is wrong."""
    body = (
        f"{CREDENTIALS}&dest=+6591234567&max_duration=300&caller_id=private"
        '&msg=<speech language="en"  gender="male">Ho ho</speech><url>http://a.example/s.mp3</url>'
    )
    headers = {"Content-Type": "application/json"}
    url = f"{api.url}/open/ivr/start/dial"
    async with api.http.post(url, data=body.encode(), headers=headers) as response:
        assert await response.json() == {"status": "success_ok"}
    assert api.calls.requests == [
        DialCommand(
            dest=DEST,
            msg=(SpeechPart("Ho ho", "en", "male"), UrlPart("http://a.example/s.mp3")),
            caller_id="private",
            max_duration_s=300,
        )
    ]


async def test_dotnet_dials_with_every_field_empty(api: Api) -> None:
    """Empty optional fields are the defaults, with stray pairs between them."""
    body = (
        f"{CREDENTIALS}&dest=6591234567&caller_id=&max_duration=&&=&ring_time=&tag=&notify_url=&x"
    )
    async with api.http.post(f"{api.url}/open/ivr/start/dial", data=body) as response:
        assert await response.json() == {"status": "success_ok"}
    assert api.calls.requests == [DialCommand(dest=DEST)]


@pytest.mark.parametrize(("name", "seconds"), [("ring_time", "20"), ("ringtime", "10")])
async def test_both_names_of_the_ring_time(api: Api, name: str, seconds: str) -> None:
    """Java and PHP applications send one each, by GET."""
    assert await api.status("ivr/start/dial", {"dest": DEST, name: seconds}, "GET") == "success_ok"
    assert api.calls.requests == [DialCommand(dest=DEST, ring_time_s=int(seconds))]


async def test_raw_values_in_a_get_url(api: Api) -> None:
    """A C# application joins the URL by hand; the pluses of a list are all lost."""
    url = f"{api.url}/open/voice/conference?{CREDENTIALS}&dest=+6591234567,+6598765432&room=R.1"
    async with api.http.get(url) as response:
        assert (await response.json())["status"] == "success_ok"
    assert api.calls.requests == [ConferenceCommand(dests=(DEST, OTHER), room="R.1")]


async def test_python_spoils_the_name_of_a_room(api: Api) -> None:
    """The hoiiopie library puts a plus and a country before everything that has no plus."""
    assert await api.status("ivr/end/transfer", {"session": "S-1", "dest": "+1room:R1"}) == (
        "success_ok"
    )
    assert api.submitter.commands == [TransferCommand(session=SessionId("S-1"), room="R1")]


async def test_go_sends_a_message_to_unhold(api: Api) -> None:
    """It is ignored, as everything is that a block does not know; hold ignores a tag."""
    sent = {"session": "S-1", "msg": "<not closed", "tag": "x"}
    assert await api.status("ivr/middle/unhold", sent) == "success_ok"
    assert await api.status("ivr/middle/hold", {"session": "S-1", "notify_url": "x"}) == (
        "success_ok"
    )
    assert api.submitter.commands == [
        UnholdCommand(session=SessionId("S-1"), tag="x"),
        HoldCommand(session=SessionId("S-1")),
    ]


async def test_php_sends_its_url_as_tag(api: Api) -> None:
    """A tag that is a URL is a tag; names that nobody knows are ignored."""
    sent = {"dest2": DEST, "tag": "https://a.example/h?x=1&y=2", "callerID": "x", "resultFrom": "y"}
    assert await api.status("voice/call", sent) == "success_ok"
    assert api.calls.requests == [CallCommand(dest2=DEST, tag="https://a.example/h?x=1&y=2")]
