"""The examples on the pages of blocks and of the API, each run as it is written: by curl.

Identifiers, numbers and addresses of a page are replaced by real ones. The answer must have the
fields of the page's answer, and the notification those of the page's notification: all that the
example shows, and beside it only what the page's tables name.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.blocks.registry import BLOCKS, REQUESTS
from voiceblocks.testing import tone_code
from voiceblocks.testing.answering import BUSY, Answer, RingForever
from voiceblocks.testing.conversation import speak, until_heard
from voiceblocks.testing.phone import Phone, PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCS = Path(__file__).parents[2] / "docs"
APP_ID, TOKEN = "Zf3kQ9sLm2VxT7aB", "pW4nE8rYc1JdH6uK"
SERVER = "http://127.0.0.1:8080"
SESSION, TXN, PARTICIPANT = "S-1-0f9k2m4q7w1x8z2a", "AA-S-1-7h2c9d4k1m5p", "AA-C-1-0f9k2m4q7w1x"
RECORDING = "rec-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
FRIEND, OTHER, THIRD = "%2B6591234567", "%2B6598765432", "%2B6598765433"
OURS = "%2B6531580000"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (`[^|]*) \|", re.MULTILINE)
_FACTS = frozenset({"tag", "call_end"})
"Told of every call that has them."
# What depends on the call and not on what was asked for.
_CONSTANT = re.compile(r"ivr_block|call_state|tag|\w+_status\w*|transfer_cause|dial_cause|room")


@dataclass(frozen=True, slots=True)
class Example:
    """What a page shows of one request."""

    command: str
    answers: list[dict[str, Any]]
    notifications: list[dict[str, str]]
    named: frozenset[str]
    "Every parameter in a table of the page; `_late` stands for all that end so."


def examples() -> dict[str, Example]:
    """The examples of all pages by path, such as `ivr/middle/record`."""
    found = {}
    for page in DOCS.glob("blocks/*.md"):
        found.update(_examples_of(page.read_text(encoding="utf-8")))
    for name in ("voice-api.md", "account-api.md"):
        for section in re.split(
            r"^## ", (DOCS / name).read_text(encoding="utf-8"), flags=re.MULTILINE
        ):
            found.update(_examples_of(section))
    return found


def _examples_of(text: str) -> dict[str, Example]:
    fences = _FENCE.findall(text)
    command = next((body for _, body in fences if body.startswith("curl ")), None)
    if command is None:
        return {}
    answers = next(body for kind, body in fences if kind == "json")
    told = [body for kind, body in fences if not kind and re.match(r"\w+=", body)]
    example = Example(
        command=command,
        answers=_objects(answers),
        notifications=[dict(line.split("=", 1) for line in body.splitlines()) for body in told],
        named=frozenset(word for row in _ROW.findall(text) for word in re.findall(r"`(\w+)`", row)),
    )
    (asked,) = re.findall(r"/open/([\w/]+) ", command)
    # Two paths that differ in nothing else share a section.
    same = re.findall(r"`/open/([\w/]+)`", text.partition("```")[0]) or [asked]
    return {
        path: Example(
            command.replace(f"/open/{asked} ", f"/open/{path} "),
            example.answers,
            example.notifications,
            example.named,
        )
        for path in same
    }


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a fence, one after another."""
    objects, decoder = [], json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        objects.append(value)
        text = text[end:]
    return objects


def shape(value: Any) -> Any:
    """Names and kinds of fields; of a list that of its last entry."""
    if isinstance(value, dict):
        return {name: shape(field) for name, field in value.items() if name != "…"}
    if isinstance(value, list):
        return [shape(value[-1])] if value else []
    return type(value).__name__


class Documentation:
    """
    Runs what the pages say.

    Args:
        app: As whose application.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._examples = examples()
        self.ran: set[str] = set()

    async def ask(self, path: str, **words: str) -> dict[str, Any]:
        """
        Run a page's request, and compare its answer.

        Args:
            path: Such as `ivr/middle/record`.
            words: What stands for words of the page, `session=` and so on; see `_WORDS`.
        """
        example = self._examples[path]
        command = example.command
        replaced = {
            SERVER: f"http://{self._app.server.http}",
            APP_ID: self._app.app_id,
            TOKEN: self._app.access_token,
            OURS: self._app.number.replace("+", "%2B"),
            "https://example.com/": self._app.url("/"),
            **_HISTORY,
            **{_WORDS[word]: value for word, value in words.items()},
        }
        for word, value in replaced.items():
            command = command.replace(word, value.replace("+", "%2B"))
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", command.replace("curl ", "curl -sS ", 1),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, complaint = await process.communicate()
        assert process.returncode == 0, f"{command}: {complaint.decode()}"
        answer: dict[str, Any] = json.loads(said)
        assert answer["status"] == "success_ok", f"{command}: {answer}"
        shown = [shape(one) for one in example.answers]
        if path == "voice/get_history":
            # An entry is that of query_status, as the page says; the newest is of the same kind.
            shown = [{**one, "entries": [self.shape_of("voice/query_status")]} for one in shown]
            answer["entries"] = [answer["entries"][0] | {"status": ""}]
        # Beside what is shown, fields that a table names, such as one that only some calls have.
        real = shape(answer)
        beside = {name: real[name] for name in real.keys() & example.named}
        assert any(real in (one, beside | one) for one in shown), f"{path}: {answer}"
        self.ran.add(path)
        return answer

    def shape_of(self, path: str) -> Any:
        """The fields of a page's answer."""
        return shape(self._examples[path].answers[0])

    async def told(self, path: str, nth: int = 0, **match: str) -> dict[str, str]:
        """Wait for what a page's notification shows, and compare."""
        example = self._examples[path]
        shown = example.notifications[nth]
        constant = {
            name: value
            for name, value in shown.items()
            if _CONSTANT.fullmatch(name) and name not in match
        }
        body: dict[str, str] = dict((await self._app.told(**constant, **match)).body)
        assert shown.keys() <= body.keys(), f"{path} shows more than came: {body}"
        beside = body.keys() - shown.keys() - example.named - _FACTS
        unnamed = [
            name
            for name in beside
            if not any(end.startswith("_") and name.endswith(end) for end in example.named)
            # "and further, as record tells them".
            and not name.startswith("monitor_")
        ]
        assert unnamed == [], f"{path} does not name {unnamed}"
        return body


_HISTORY = {"to=2026-11-30": "to=2099-12-31", "page=2": "page=1"}
"A few calls of today fill no second page."
_WORDS = {
    "session": SESSION,
    "txn": TXN,
    "participant": PARTICIPANT,
    "recording": RECORDING,
    "friend": FRIEND,
    "other": OTHER,
    "third": THIRD,
}


async def test_every_documented_request_runs_as_written(
    app: Application, phone: Phone, tmp_path: Path
) -> None:
    """Each block and each API: curl's command, its answer, and the notification that follows."""
    docs = Documentation(app)
    async with Carrier(app) as carrier:
        recording = await _led_call(docs, app, phone, carrier)
        await _recordings(docs, recording)
        await _short_calls(docs, app, phone, carrier)
        await _connected_calls(docs, carrier)
        await _conferences(docs, carrier)
    await _account(docs, app, tmp_path)
    untried = {*BLOCKS, *REQUESTS} - docs.ran
    assert not untried, f"let this test run the examples of {untried}, where a call has use of them"


async def _led_call(docs: Documentation, app: Application, phone: Phone, carrier: Carrier) -> str:
    """One caller who meets every block; returns the recording's id."""
    call = await phone.call(app.sip())
    session = (await app.told(ivr_block="answer")).body["session"]
    await docs.ask("ivr/middle/play", session=session)
    await docs.told("ivr/middle/play")
    await docs.ask("ivr/middle/gather", session=session)
    for digit in "123456":
        await call.media.press(digit)
    assert (await docs.told("ivr/middle/gather"))["digits"] == "123456"
    await docs.ask("ivr/middle/record", session=session)
    await call.media.beep_ended()
    await docs.ask("recording/pause", session=session)
    await docs.ask("recording/resume", session=session)
    await call.media.say(tone_code.encode_seconds(0, 1))
    await call.media.press("#")
    recorded = await docs.told("ivr/middle/record")
    await docs.ask("ivr/middle/hold", session=session)
    await docs.ask("ivr/middle/unhold", session=session)
    await docs.told("ivr/middle/unhold")
    await docs.ask("ivr/middle/monitor", session=session)
    await docs.told("ivr/middle/monitor")
    friend, other = carrier.number(Answer()), carrier.number(RingForever())
    await docs.ask("ivr/end/transfer", session=session, other=friend, third=other)
    far_end = await carrier.call_to(friend)
    people = {1: call, 2: far_end}
    speak(people)
    await until_heard({1: {2}, 2: {1}}, people)
    call.hang_up()
    await docs.told("ivr/end/transfer")
    await docs.told("ivr/middle/monitor", 1)
    found = re.search(r"rec-[0-9a-f]{32}", recorded["record_url"])
    assert found is not None
    return found[0]


async def _recordings(docs: Documentation, recording: str) -> None:
    """What is asked and done about a recording, its end last."""
    for path in ("recording/health", "recording/link", "recording/revoke", "recording/delete"):
        await docs.ask(path, recording=recording)


async def _short_calls(
    docs: Documentation, app: Application, phone: Phone, carrier: Carrier
) -> None:
    """A call out, and one that comes in and is politely ended."""
    friend = carrier.number()
    await docs.ask("ivr/start/dial", friend=friend)
    dialled = await carrier.call_to(friend)
    await dialled.answered()
    await docs.told("ivr/start/dial")
    dialled.hang_up()
    await phone.call(app.sip())
    ringing = await app.told(ivr_block="answer", call_state="ringing")
    await docs.ask("ivr/end/hangup", session=ringing.body["session"])
    await docs.told("ivr/end/hangup")


async def _connected_calls(docs: Documentation, carrier: Carrier) -> None:
    """Two numbers connected; then two of whom the second is busy, as the page shows it."""
    friend, other = carrier.number(), carrier.number()
    answer = await docs.ask("voice/call", friend=friend, other=other)
    people = [await carrier.call_to(number) for number in (friend, other)]
    await _answered(people)
    await docs.ask("voice/get_rate", friend=friend, other=other)
    await docs.ask("voice/hangup", txn=answer["txn_ref"])
    await docs.told("voice/call", txn_ref=answer["txn_ref"], call_status_dest2="answered")
    await docs.ask("voice/query_status", txn=answer["txn_ref"])
    await docs.ask("voice/get_history")
    friend = carrier.number()
    answer = await docs.ask("voice/call", friend=friend, other=carrier.number(BUSY))
    await docs.told("voice/call", txn_ref=answer["txn_ref"])


async def _conferences(docs: Documentation, carrier: Carrier) -> None:
    """Two people in a room by each of the two paths; one is muted, all are sent home."""
    for path in ("conference/call", "voice/conference"):
        numbers = [carrier.number(), carrier.number()]
        answer = await docs.ask(path, friend=numbers[0], other=numbers[1])
        await _answered([await carrier.call_to(number) for number in numbers])
        txns = answer["txn_refs"]
        participants = txns.split(",") if isinstance(txns, str) else txns
        await docs.ask("conference/moderate", participant=participants[0])
        for txn_ref in participants:
            await docs.ask("voice/hangup", txn=txn_ref)
            await docs.told(path, txn_ref=txn_ref)


async def _answered(calls: list[PhoneCall]) -> None:
    for call in calls:
        await call.answered()


async def _account(docs: Documentation, app: Application, tmp_path: Path) -> None:
    """The account, and a number from the offer to the subscription."""
    await app.server.cli(
        "account", "set", app.account_id, email="me@example.com", registered_number="+6591234567"
    )
    numbers, rates = tmp_path / "numbers.csv", tmp_path / "rates.csv"
    numbers.write_text("number,state,state_name\n+6531580001,,\n+12135550123,CA,California\n")
    rates.write_text("country,months,currency,rate\nSG,1,SGD,4.000\nSG,12,SGD,40.000\n")
    await app.server.cli("number", "load", str(numbers))
    await app.server.cli("number", "rates", str(rates))
    for path in (
        *("user/get_balance", "user/get_info", "number/get_countries", "number/get_choices"),
        *("number/get_rates", "number/subscribe", "number/update_forwarding"),
        "number/get_active",
    ):
        await docs.ask(path)
