"""Delivering notifications: order, retries, limits, crashes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests.unit.notifications.outbox import (
    SECOND_US,
    START_US,
    add_application,
    add_notification,
    add_session,
    end_session,
    states,
)
from voiceblocks.adapters.guarded_http import GuardedHttp, IpNetwork
from voiceblocks.adapters.webhook_client import WebhookClient
from voiceblocks.database import notification_attempts, notifications, stopped_urls
from voiceblocks.database.migrate import upgrade
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import AdapterError, RequestRefused
from voiceblocks.notifications.interfaces import WebhookResult
from voiceblocks.notifications.model import Notification
from voiceblocks.notifications.retry import LASTING_PAUSES_S, LIVE_OFFSETS_S
from voiceblocks.notifications.state import NotificationState as S
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.webhook_sink import ReceivedNotification, WebhookSink
from voiceblocks.webhook_signatures import HOIIO_HEADER as HEADER
from voiceblocks.webhook_signatures import hoiio_holds as verifies
from voiceblocks.webhook_signatures import standard_holds
from voiceblocks.workflows.deliver_notifications import DeliveryLimits, NotificationDelivery
from voiceblocks.workflows.forget_old import ForgetOld
from voiceblocks.workflows.resend_notification import resend_notification

T = TypeVar("T")
WAIT_S = 20.0
OK = WebhookResult(1, http_status=200)
FAILED = WebhookResult(1, error="connect_failed: refused")


def answered(status: int) -> WebhookResult:
    """An answer with this status."""
    return WebhookResult(1, http_status=status)


@dataclass
class Clock:
    """Time by hand."""

    now_us: int = START_US

    def utc_us(self) -> int:
        return self.now_us

    def monotonic(self) -> float:
        return self.now_us / SECOND_US


@dataclass(frozen=True)
class Sent:
    """One request, as an application sees it."""

    event: str
    attempt: int
    url: str
    body: bytes
    headers: Mapping[str, str]
    at_us: int


@dataclass
class Application:
    """Fulfils `WebhookSender`: a web that answers as the test says."""

    clock: Clock
    answer: Callable[[Sent], Awaitable[WebhookResult] | WebhookResult] = lambda _: OK
    sent: list[Sent] = field(default_factory=list)
    timeouts_s: list[float] = field(default_factory=list)

    async def send(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> WebhookResult:
        request = Sent(
            headers["X-Voiceblocks-Event"],
            int(headers["X-Voiceblocks-Attempt"]),
            url,
            body,
            headers,
            self.clock.now_us,
        )
        self.sent.append(request)
        self.timeouts_s.append(timeout_s)
        result = self.answer(request)
        return result if isinstance(result, WebhookResult) else await result

    @property
    def events(self) -> list[str]:
        return [request.event for request in self.sent]


class Scene:
    """An outbox on a real database, a delivery, and an application, in time by hand."""

    def __init__(self, database: Database, limits: DeliveryLimits | None = None) -> None:
        self.database = database
        self.clock = Clock()
        self.application = Application(self.clock)
        self.token: str | None = "token0000000000a"
        self.first_attempts: list[tuple[str, int]] = []
        self.limits = limits
        self.delivery = self.new_delivery()

    def new_delivery(self) -> NotificationDelivery:
        return NotificationDelivery(
            self.database,
            self.application,
            self.clock,
            lambda _connection, _app_id, _now_us: self.token,
            lambda session_id, at_us: self.first_attempts.append((session_id, at_us)),
            limits=self.limits,
            chance=lambda: 0.0,
        )

    async def add(self, session: str, **facts: object) -> Notification:
        return await self.run(lambda c: add_notification(c, session, **facts))  # type: ignore[arg-type]

    async def run(self, fn: Callable[[Connection], T]) -> T:
        return await self.database.run(fn)

    async def round(self, after_s: float = 0.0) -> None:
        """Let time pass, then let everything leave that may, and come back."""
        self.clock.now_us += int(after_s * SECOND_US)
        n_before = -1
        while n_before != len(self.application.sent):
            n_before = len(self.application.sent)
            await self.delivery._send_due()
            await self.quiet()

    async def quiet(self) -> None:
        while self.delivery._in_flight:
            await asyncio.wait(self.delivery._in_flight, timeout=WAIT_S)

    async def find(self, notification_id: str) -> Notification:
        found = await self.run(lambda c: notifications.find(c, notification_id))
        assert found is not None
        return found

    async def until(self, condition: Callable[[Connection], bool]) -> None:
        """Ask the database until it is so."""
        async with asyncio.timeout(WAIT_S):
            while not await self.run(condition):
                pass


def seed(connection: Connection) -> None:
    """An application with two calls."""
    add_application(connection)
    add_session(connection, "A")
    add_session(connection, "B")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database with sessions A and B, of each kind."""
    opened = Database(database_url)
    opened.run_sync(seed)
    yield opened
    opened.close()


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    """An outbox in time by hand."""
    made = Scene(database)
    yield made
    await made.delivery.stop()


async def test_what_an_application_gets(scene: Scene) -> None:
    """Query and body hold everything, the body is signed, and the headers name the event."""
    made = await scene.add("A", parameters="tag=t&from=%2B65")
    await scene.round()
    (sent,) = scene.application.sent
    assert sent.url == "http://app.example/n?own=1&tag=t&from=%2B65"
    assert sent.body == b"own=1&tag=t&from=%2B65"
    assert sent.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert verifies(sent.body, "token0000000000a", sent.headers[HEADER])
    assert (sent.event, sent.attempt) == (made.id, 1)
    assert sent.headers["X-Voiceblocks-Timestamp"] == str(START_US // SECOND_US)
    found = await scene.find(made.id)
    assert (found.state, found.attempt_count, found.settled_us) == (S.DELIVERED, 1, START_US)
    (attempt,) = await scene.run(lambda c: notification_attempts.list_of(c, made.id))
    assert (attempt.number, attempt.http_status, attempt.started_us) == (1, 200, START_US)


async def test_live_attempts(scene: Scene) -> None:
    """Attempts at 0, 0.5, 1, 2, 4 and 8 s, the same each time, then none till the call ends."""
    made = await scene.add("A")
    scene.application.answer = lambda _: answered(503)
    for _ in range(200):
        await scene.round(after_s=0.1)
    at_s = [(sent.at_us - START_US) / SECOND_US - 0.1 for sent in scene.application.sent]
    assert at_s == pytest.approx(list(LIVE_OFFSETS_S), abs=0.11)
    assert [sent.attempt for sent in scene.application.sent] == [1, 2, 3, 4, 5, 6]
    assert len({(s.event, s.url, s.body) for s in scene.application.sent}) == 1
    assert (await scene.find(made.id)).state is S.PENDING
    await scene.run(lambda c: notifications.supersede(c, "A", START_US))
    assert (await scene.find(made.id)).state is S.SUPERSEDED


async def test_lasting_attempts_go_on_for_days(scene: Scene) -> None:
    """A recording is told for days, then given up; meanwhile the next of its call waits."""
    made = await scene.add("A", block="record")
    await scene.add("A", call_ended=True)
    scene.application.answer = lambda _: FAILED
    for _ in range(len(LIVE_OFFSETS_S) + len(LASTING_PAUSES_S) - 1):
        await scene.round()
        found = await scene.find(made.id)
        assert found.state is S.PENDING
        scene.clock.now_us = found.next_attempt_us
    assert scene.clock.now_us - START_US > 4 * 86_400 * SECOND_US
    scene.application.answer = lambda sent: FAILED if sent.event == made.id else OK
    await scene.round()
    # The host is in trouble by now: it is probed once a minute.
    await scene.round(after_s=61)
    assert await scene.run(states) == {"evt_A_1": S.GIVEN_UP, "evt_A_2": S.DELIVERED}
    assert scene.application.events == ["evt_A_1"] * 17 + ["evt_A_2"]


async def test_500_is_tried_three_times(scene: Scene) -> None:
    """The third 500 counts as received."""
    made = await scene.add("A")
    scene.application.answer = lambda _: answered(500)
    for _ in range(5):
        await scene.round(after_s=1)
    assert len(scene.application.sent) == 3
    assert (await scene.find(made.id)).state is S.DELIVERED


@pytest.mark.parametrize("status", [200, 204, 401, 404, 410])
async def test_received_at_once(scene: Scene, status: int) -> None:
    """Old applications answer anything after they acted: that ends it."""
    await scene.add("A")
    scene.application.answer = lambda _: answered(status)
    await scene.round()
    await scene.round(after_s=60)
    assert len(scene.application.sent) == 1


async def test_order_within_a_session(scene: Scene) -> None:
    """The second leaves once the first is answered, and another call's meanwhile."""
    for session in ("A", "A", "B"):
        await scene.add(session)
    scene.application.answer = lambda s: FAILED if (s.event, s.attempt) == ("evt_A_1", 1) else OK
    await scene.round()
    assert sorted(scene.application.events) == ["evt_A_1", "evt_B_1"]
    await scene.round(after_s=0.5)
    assert scene.application.events[2:] == ["evt_A_1", "evt_A_2"]


async def test_a_block_accepted_while_the_request_is_in_flight(scene: Scene) -> None:
    """The act settles it; the answer that comes later is recorded and changes nothing."""
    made = await scene.add("A", block="gather", parameters="digits=42")

    async def act(sent: Sent) -> WebhookResult:
        if sent.event == made.id:
            assert await scene.run(lambda c: notifications.act_on(c, "A", START_US)) == 1
            await scene.add("A")
        return answered(503)

    scene.application.answer = act
    await scene.delivery._send_due()
    await scene.quiet()
    found = await scene.find(made.id)
    assert (found.state, found.attempt_count, found.parameters) == (
        S.ACTED_ON,
        1,
        "digits=blanked",
    )
    attempts = await scene.run(lambda c: notification_attempts.list_of(c, made.id))
    assert [attempt.http_status for attempt in attempts] == [503]
    await scene.round(after_s=60)
    assert scene.application.events == ["evt_A_1", "evt_A_2"]
    assert scene.application.sent[0].body == b"own=1&digits=42"


async def test_after_the_call_only_what_lasts_is_retried(scene: Scene) -> None:
    """A failed attempt after the call's end supersedes what nobody waits for any more."""
    await scene.add("A", block="play")
    await scene.add("B", block="record")
    for session in ("A", "B"):
        await scene.run(lambda c, session=session: end_session(c, session))
    scene.application.answer = lambda _: FAILED
    await scene.round()
    assert await scene.run(states) == {"evt_A_1": S.SUPERSEDED, "evt_B_1": S.PENDING}
    await scene.round(after_s=60)
    assert scene.application.events == ["evt_A_1", "evt_B_1", "evt_B_1"]


async def test_time_limits(scene: Scene) -> None:
    """Ten seconds while somebody waits on the line, longer afterwards."""
    await scene.add("A")
    await scene.round()
    await scene.run(lambda c: end_session(c, "B"))
    await scene.add("B", call_ended=True)
    await scene.round()
    assert scene.application.timeouts_s == [10.0, 30.0]


async def test_idle_clock_starts_at_the_first_attempt(scene: Scene) -> None:
    """The first attempt is told once, also when it cannot be signed; retries are not."""
    await scene.add("A")
    scene.application.answer = lambda _: FAILED
    scene.token = None
    for _ in range(4):
        await scene.round(after_s=1)
    assert scene.first_attempts == [("A", START_US + SECOND_US)]


async def test_without_a_token_nothing_is_sent(scene: Scene) -> None:
    """An application without a valid token gets its notification once it has one again."""
    made = await scene.add("A")
    scene.token = None
    await scene.round()
    assert scene.application.sent == []
    scene.token = "token0000000000b"
    await scene.round(after_s=1)
    (sent,) = scene.application.sent
    assert verifies(sent.body, "token0000000000b", sent.headers[HEADER])
    attempts = await scene.run(lambda c: notification_attempts.list_of(c, made.id))
    assert [a.error for a in attempts] == ["no_access_token", None]


async def test_one_unreadable_token_stops_nobody_else(scene: Scene) -> None:
    """An application whose secret cannot be read fails alone; the rest of the round leaves."""
    asked: list[str] = []

    def newest_token(_connection: Connection, app_id: str, _now_us: int) -> str:
        asked.append(app_id)
        if len(asked) == 1:
            raise AdapterError("a secret cannot be read")
        return "token0000000000a"

    scene.delivery._newest_token = newest_token
    first = await scene.add("A")
    await scene.run(lambda c: add_application(c, "app0000000000002"))
    await scene.add("B", app_id="app0000000000002")
    await scene.delivery._send_due()
    await scene.quiet()
    assert scene.application.events == ["evt_B_1"]
    (attempt,) = await scene.run(lambda c: notification_attempts.list_of(c, first.id))
    assert attempt.error == "no_access_token"


async def test_a_call_that_cannot_be_told_costs_nothing(scene: Scene) -> None:
    """What the idle clock's callback raises does not keep notifications from leaving."""

    def fail(_session_id: str, _at_us: int) -> None:
        raise KeyError("no such call")

    scene.delivery._on_first_attempt = fail
    await scene.add("A")
    await scene.add("B")
    await scene.round()
    assert sorted(scene.application.events) == ["evt_A_1", "evt_B_1"]


async def test_signed_with_the_newest_token_at_each_attempt(scene: Scene) -> None:
    """A token that was replaced between two attempts signs only the first."""
    await scene.add("A")
    scene.application.answer = lambda _: FAILED
    await scene.round()
    scene.token = "token0000000000b"
    await scene.round(after_s=1)
    first, second = scene.application.sent
    assert first.body == second.body
    assert verifies(first.body, "token0000000000a", first.headers[HEADER])
    assert verifies(second.body, "token0000000000b", second.headers[HEADER])


async def test_an_unreadable_url_is_a_failed_attempt(scene: Scene) -> None:
    """A URL that cannot even be taken apart stops neither its session nor the others."""
    made = await scene.add("A", url="http://[broken")
    await scene.add("B")
    await scene.round()
    assert scene.application.events == ["evt_B_1"]
    (attempt,) = await scene.run(lambda c: notification_attempts.list_of(c, made.id))
    assert attempt.error == "target_refused: not an address"


async def test_signed_against_replay(scene: Scene) -> None:
    """Standard Webhooks' headers hold over id, time and body, and differ at each attempt."""
    await scene.add("A", parameters="tag=t")
    scene.application.answer = lambda _: FAILED
    await scene.round()
    await scene.round(after_s=2)
    first, second = (sent.headers for sent in scene.application.sent[:2])
    for sent in scene.application.sent[:2]:
        held = [sent.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]
        assert held[0] == sent.event
        assert held[1] == str(sent.at_us // SECOND_US)
        assert standard_holds(held[0], held[1], sent.body, "token0000000000a", held[2])
        assert not standard_holds(held[0], held[1], sent.body, "token0000000000b", held[2])
    assert first["webhook-signature"] != second["webhook-signature"]
    assert first[HEADER] == second[HEADER]


async def test_digits_are_blanked_once_delivered(scene: Scene) -> None:
    """What was sent does not stay in the database."""
    made = await scene.add("A", parameters="digits=4711")
    await scene.round()
    assert (await scene.find(made.id)).parameters == "digits=blanked"


async def test_echoes_are_blanked(scene: Scene) -> None:
    """An answer that quotes what was sent is kept without the digits and the link's signature."""
    made = await scene.add(
        "A", parameters="digits=4711&u=http%3A%2F%2Fh%2Fr.mp3%3FSignature%3DabC_1"
    )
    echo = "got 4711 (not 147111) and http://h/r.mp3?Signature=abC_1 or %3FSignature%3DabC_1"
    scene.application.answer = lambda _: WebhookResult(1, http_status=200, answer=echo)
    await scene.round()
    (attempt,) = await scene.run(lambda c: notification_attempts.list_of(c, made.id))
    assert attempt.answer == (
        "got blanked (not 147111) and http://h/r.mp3?Signature=blanked or %3FSignature%3Dblanked"
    )


async def test_crash_before_the_answer(scene: Scene) -> None:
    """A request whose sender died is sent again with the same id and body, later."""
    made = await scene.add("A", parameters="digits=1")
    never = asyncio.Event()

    async def hang(_sent: Sent) -> WebhookResult:
        await never.wait()
        return OK

    scene.application.answer = hang
    await scene.delivery._send_due()
    await scene.until(lambda _: bool(scene.application.sent))
    await scene.delivery.stop()
    scene.delivery = scene.new_delivery()
    scene.application.answer = lambda _: OK
    await scene.round(after_s=1)
    assert len(scene.application.sent) == 1
    await scene.round(after_s=60)
    first, second = scene.application.sent
    assert (first.event, first.url, first.body) == (second.event, second.url, second.body)
    assert (first.attempt, second.attempt) == (1, 2)
    assert (await scene.find(made.id)).state is S.DELIVERED


async def test_a_dead_host_does_not_delay_others(database: Database) -> None:
    """A host takes only so many requests at a time; what waits for it hides nobody."""
    scene = Scene(database, DeliveryLimits(batch=4, in_flight=8, in_flight_per_host=2))
    release = asyncio.Event()

    async def hang_if_dead(sent: Sent) -> WebhookResult:
        if "dead" in sent.url:
            await release.wait()
        return OK

    scene.application.answer = hang_if_dead

    def insert(connection: Connection) -> None:
        for n in range(20):
            add_session(connection, f"D{n}")
            add_notification(connection, f"D{n}", url="http://dead.example/", now_us=START_US - 9)

    await scene.run(insert)
    await scene.add("A", url="http://alive.example/")
    for _ in range(7):
        await scene.delivery._send_due()
    await scene.until(lambda c: states(c)["evt_A_1"] is S.DELIVERED)
    hosts = [urlsplit(sent.url).netloc for sent in scene.application.sent]
    assert sorted(hosts) == ["alive.example", "dead.example", "dead.example"]
    release.set()
    for _ in range(60):
        await scene.round(after_s=1)
    assert set((await scene.run(states)).values()) == {S.DELIVERED}
    assert len(scene.application.sent) == 21
    await scene.delivery.stop()


def hosts_of(scene: Scene) -> list[str]:
    """Where requests went, in their order."""
    return [urlsplit(sent.url).netloc for sent in scene.application.sent]


async def test_a_host_in_trouble_is_probed(database: Database) -> None:
    """After ten failures its backlog is left alone but for one probe at a time, with pauses."""
    scene = Scene(database)
    scene.application.answer = lambda sent: FAILED if "dead" in sent.url else OK

    def insert(connection: Connection) -> None:
        for n in range(40):
            add_session(connection, f"D{n}")
            add_notification(connection, f"D{n}", url="http://dead.example/", call_ended=True)

    await scene.run(insert)
    await scene.round()
    n_first = len(scene.application.sent)
    assert n_first == 40  # all at once, before anybody could know
    for _ in range(60):
        await scene.round(after_s=1)
    probes = len(scene.application.sent) - n_first
    assert 4 <= probes <= 7  # after 1, 2, 4, 8, 16 and 32 s
    await scene.add("A", url="http://dead.example/")
    await scene.round()
    assert scene.application.events[-1] == "evt_A_1"  # a call that lives does not wait
    scene.application.answer = lambda _: OK
    await scene.round(after_s=70)
    assert set((await scene.run(states)).values()) == {S.DELIVERED}
    await scene.delivery.stop()


async def test_what_waits_leaves_once_its_host_is_back(database: Database) -> None:
    """After hours of silence nobody waits for the next pause: one success lets all go, in order."""
    scene = Scene(database)
    scene.application.answer = lambda _: FAILED

    def insert(connection: Connection) -> None:
        for n in range(30):
            add_session(connection, f"D{n}")
            add_notification(connection, f"D{n}", block="record", call_ended=True)
            add_notification(connection, f"D{n}", block="hangup", call_ended=True)

    await scene.run(insert)
    for _ in range(40):
        await scene.round(after_s=300)
    scene.application.answer = lambda _: OK
    scene.application.sent.clear()
    await scene.add("A")
    await scene.round()
    await scene.round()
    assert set((await scene.run(states)).values()) == {S.DELIVERED}
    arrived = scene.application.events
    assert len(arrived) == 61
    for n in range(30):
        assert arrived.index(f"evt_D{n}_1") < arrived.index(f"evt_D{n}_2")
    await scene.delivery.stop()


async def test_dead_hosts_together_take_half_of_all_requests(database: Database) -> None:
    """However many hosts hang, there is room for those that answer."""
    scene = Scene(database, DeliveryLimits(in_flight=40, in_flight_per_host=20))
    release = asyncio.Event()

    async def hang_if_dead(sent: Sent) -> WebhookResult:
        if "dead" in sent.url:
            await release.wait()
        return OK

    for n in range(100):
        for _ in range(10):
            scene.delivery._health.failed(f"dead{n}.example", START_US - SECOND_US)

    def insert(connection: Connection) -> None:
        for n in range(100):
            add_session(connection, f"D{n}")
            url = f"http://dead{n}.example/"
            add_notification(connection, f"D{n}", url=url, now_us=START_US - 9)

    scene.application.answer = hang_if_dead
    await scene.run(insert)
    for _ in range(5):
        await scene.delivery._send_due()
    await scene.add("A", url="http://alive.example/")
    await scene.delivery._send_due()
    await scene.until(lambda c: states(c)["evt_A_1"] is S.DELIVERED)
    release.set()
    await scene.delivery.stop()


async def test_gone(scene: Scene) -> None:
    """A 410 gives up what is told and stops the URL, of this application only, until resumed."""
    gone, other = "http://app.example/n?x=1", "http://app.example/n?x=2"
    scene.application.answer = lambda sent: answered(410) if "x=1" in sent.url else OK
    await scene.add("A", url=gone)
    await scene.add("A", url=gone)
    await scene.add("A", url=other)
    await scene.add("B", url=gone)
    for _ in range(3):
        await scene.round()
    assert await scene.run(states) == {
        "evt_A_1": S.GIVEN_UP,
        "evt_A_2": S.GIVEN_UP,
        "evt_A_3": S.DELIVERED,
        "evt_B_1": S.GIVEN_UP,
    }
    assert len([url for url in scene.application.sent if "x=1" in url.url]) <= 2
    # The call's idle clock runs although nothing was sent.
    assert {session for session, _ in scene.first_attempts} == {"A", "B"}
    await scene.run(lambda c: add_application(c, "app0000000000002"))
    await scene.add("B", url=gone, app_id="app0000000000002")
    scene.application.answer = lambda _: OK
    await scene.round()
    assert (await scene.find("evt_B_2")).state is S.DELIVERED
    assert await scene.run(lambda c: stopped_urls.resume_for_all(c, gone)) == 1
    await scene.add("B", url=gone)
    await scene.round()
    assert (await scene.find("evt_B_3")).state is S.DELIVERED


async def test_resent(scene: Scene) -> None:
    """The same event leaves again with a fresh link, on a new schedule, also to a stopped URL."""
    link = "http%3A%2F%2Fh%3A1%2Frecordings%2Fr.mp3%3FExpires%3D1%26Signature%3Dabc"
    made = await scene.add("A", block="record", parameters=f"digits=12&record_url={link}")

    def again(connection: Connection) -> None:
        resend_notification(
            connection,
            notification_id=made.id,
            sign_link=lambda base, name, _revision: f"{base}/recordings/{name}?Signature=new",
            now_us=scene.clock.now_us,
        )

    with pytest.raises(RequestRefused, match="on its way"):
        await scene.run(again)
    scene.application.answer = lambda _: answered(410)
    await scene.round()
    with pytest.raises(RequestRefused, match="not over"):
        await scene.run(again)
    await scene.run(lambda c: end_session(c, "A"))
    await scene.run(again)
    scene.application.answer = lambda sent: FAILED if sent.attempt < 18 else OK
    for _ in range(40):
        found = await scene.find(made.id)
        scene.clock.now_us = max(scene.clock.now_us, found.next_attempt_us) + 61 * SECOND_US
        await scene.round()
    found = await scene.find(made.id)
    assert (found.state, found.attempt_count) == (S.DELIVERED, 18)
    body = dict(parse_qsl(scene.application.sent[-1].body.decode()))
    assert body["record_url"] == "http://h:1/recordings/r.mp3?Signature=new"
    assert body["digits"] == "blanked"
    assert scene.application.events == [made.id] * 18
    assert await scene.run(stopped_urls.list_all) == []
    assert "Signature%3Dblanked" in found.parameters


async def test_old_attempts_are_forgotten(scene: Scene) -> None:
    """What began longer ago than the settings say is deleted; 0 days keeps all."""
    made = await scene.add("A")
    scene.application.answer = lambda sent: OK if sent.attempt == 2 else FAILED
    await scene.round()
    await scene.round(after_s=86_400)
    scene.clock.now_us += 29 * 86_400 * SECOND_US + SECOND_US

    def job(keep_days: int) -> ForgetOld:
        forget = notification_attempts.forget
        return ForgetOld(scene.database, scene.clock, keep_days, forget=forget, kind="attempts")

    assert await job(0).forget() == 0
    assert await job(30).forget() == 1
    left = await scene.run(lambda c: notification_attempts.list_of(c, made.id))
    assert [attempt.number for attempt in left] == [2]


async def test_global_limit(database: Database) -> None:
    """No more requests than allowed are in flight, and the rest follows as they end."""
    scene = Scene(database, DeliveryLimits(in_flight=3))
    running, most = 0, 0

    async def count(_sent: Sent) -> WebhookResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return OK

    scene.application.answer = count

    def insert(connection: Connection) -> None:
        for n in range(12):
            add_session(connection, f"G{n}")
            add_notification(connection, f"G{n}", url=f"http://h{n}.example/")

    await scene.run(insert)
    scene.delivery.start()
    await scene.until(lambda c: set(states(c).values()) == {S.DELIVERED})
    await scene.delivery.stop()
    assert most == 3


async def test_started_it_wakes_by_itself(scene: Scene) -> None:
    """A started delivery sends what an earlier process left and what it is woken for."""
    await scene.add("A")
    scene.delivery.start()
    scene.delivery.start()
    await scene.until(lambda c: states(c)["evt_A_1"] is S.DELIVERED)
    await scene.add("B")
    scene.delivery.wake()
    await scene.until(lambda c: states(c)["evt_B_1"] is S.DELIVERED)
    await scene.delivery.stop()
    await scene.add("A")
    scene.delivery.wake()
    assert scene.application.events == ["evt_A_1", "evt_B_1"]


async def test_a_failing_database_does_not_end_the_delivery(scene: Scene) -> None:
    """A round that fails is followed by another; an attempt that cannot be recorded too."""
    healthy = scene.database.run
    sick, failed = True, asyncio.Event()

    async def run(fn: Callable[[Connection], T]) -> T:
        if sick:
            failed.set()
            raise AdapterError("no space left on device")
        return await healthy(fn)

    async def fall_sick(_sent: Sent) -> WebhookResult:
        nonlocal sick
        sick = True
        return OK

    await scene.add("A")
    scene.application.answer = fall_sick
    scene.delivery._database.run = run  # type: ignore[method-assign]
    scene.delivery.start()
    await asyncio.wait_for(failed.wait(), WAIT_S)
    sick = False
    scene.delivery.wake()
    async with asyncio.timeout(WAIT_S):
        while not (sick and scene.application.sent and not scene.delivery._in_flight):
            await healthy(states)
        assert (await healthy(states))["evt_A_1"] is S.PENDING
        sick, scene.application.answer = False, lambda _: OK
        scene.clock.now_us += 60 * SECOND_US
        scene.delivery.wake()
        while (await healthy(states))["evt_A_1"] is not S.DELIVERED:
            pass
    assert scene.application.events == ["evt_A_1", "evt_A_1"]


async def test_stop_gives_requests_time(scene: Scene) -> None:
    """A request in flight may end when the node drains, and is then recorded."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_sent: Sent) -> WebhookResult:
        begun.set()
        await go_on.wait()
        return OK

    scene.application.answer = slow
    await scene.add("A")
    scene.delivery.start()
    await asyncio.wait_for(begun.wait(), WAIT_S)
    stopping = asyncio.create_task(scene.delivery.stop(grace_s=WAIT_S))
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert (await scene.run(states))["evt_A_1"] is S.DELIVERED


async def test_a_real_application_that_acts_inside_its_handler(
    database: Database, local_network: list[IpNetwork]
) -> None:
    """Over real HTTP: the next notification arrives while the first one's handler still runs."""
    http = GuardedHttp(local_network)
    delivery: NotificationDelivery

    async def act(notification: ReceivedNotification) -> None:
        # What submit_block and the next block's end do, and only then the answer.
        if notification.body["step"] == "1":
            await database.run(lambda c: notifications.act_on(c, "A", 1))
            await database.run(
                lambda c: add_notification(c, "A", url=sink.url, parameters="step=2")
            )
            delivery.wake()
            await sink.next(WAIT_S, step="2")

    async with WebhookSink(act) as sink:
        delivery = NotificationDelivery(
            database, WebhookClient(http), SystemClock(), lambda *_: "tok", lambda *_: None
        )
        await database.run(
            lambda c: add_notification(c, "A", url=f"{sink.url}?own=1", parameters="step=1")
        )
        delivery.start()
        first = await sink.next(WAIT_S, step="1")
        both = {"evt_A_1": S.ACTED_ON, "evt_A_2": S.DELIVERED}
        async with asyncio.timeout(WAIT_S):
            while await database.run(states) != both:
                await database.run(states)
        await delivery.stop(grace_s=WAIT_S)
    await http.close()
    assert sink.errors == []
    assert first.verify_signature("tok")
    assert first.query == first.body == {"own": "1", "step": "1"}


@pytest.fixture
def local_network() -> list[IpNetwork]:
    """The loopback address as an operator would allow it."""
    import ipaddress

    return [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


# The property: whatever happens, nothing that lasts is lost, doubled in content or reordered.

OUTCOMES = ["200", "404", "500", "503", "none", "acts", "acts then 500", "hangs", "dies after"]
STEP = st.tuples(
    st.sampled_from(["time", "restart", "block", "record", "end"]),
    st.sampled_from(["A", "B"]),
    st.sampled_from([0.0, 0.3, 1.0, 20.0, 100.0]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, max_size=14), outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=12))
def test_nothing_is_lost_or_reordered(
    template: Path,
    steps: list[tuple[str, str, float]],
    outcomes: list[str],
) -> None:
    """Random outcomes and restarts: delivered at least once, in order, with one id and body."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path = Path(folder) / "voiceblocks.db"
        shutil.copyfile(template, path)
        database = Database(f"sqlite:///{path}")
        database.run_sync(seed)
        try:
            asyncio.run(live_through(Scene(database), steps, outcomes))
        finally:
            database.close()


async def live_through(
    scene: Scene, steps: list[tuple[str, str, float]], outcomes: list[str]
) -> None:
    """Play the steps, then let the web recover, and check what came."""
    left = list(outcomes)
    read: set[str] = set()
    lasting: set[str] = set()
    ended: set[str] = set()
    early: list[str] = []

    async def answer(sent: Sent) -> WebhookResult:
        early.extend(await overtaken(scene, sent))
        outcome = left.pop() if left else "200"
        if outcome in ("hangs", "dies after"):
            # The sender's process ends here, or after the application has read it.
            if outcome == "dies after":
                read.add(sent.event)
            await asyncio.Event().wait()
        if outcome == "none":
            return FAILED
        if outcome.startswith("acts"):
            session = sent.event.split("_")[1]
            await scene.run(lambda c: notifications.act_on(c, session, scene.clock.now_us))
        status = 200 if outcome == "acts" else int(outcome.removeprefix("acts then "))
        if status != 503:
            read.add(sent.event)
        return answered(status)

    scene.application.answer = answer
    for kind, session, after_s in steps:
        scene.clock.now_us += int(after_s * SECOND_US)
        if kind in ("block", "record") and session not in ended:
            made = await scene.add(
                session,
                block="play" if kind == "block" else kind,
                parameters=f"digits={len(scene.application.sent)}",
                now_us=scene.clock.now_us,
            )
            lasting |= {made.id} if made.lasting else set()
        if kind == "end" and session not in ended:
            ended.add(session)
            lasting.add((await hang_up(scene, session)).id)
        await crash_if_stuck(scene)
        if kind == "restart":
            await restart(scene)
    left.clear()
    for session in {"A", "B"} - ended:
        lasting.add((await hang_up(scene, session)).id)
    final = await recover(scene)
    assert early == []
    assert S.PENDING not in final.values()
    assert all(final[event] in (S.DELIVERED, S.ACTED_ON) for event in lasting)
    assert lasting <= read
    check_repeats(scene.application.sent)


async def recover(scene: Scene) -> dict[str, S]:
    """Let days pass in which the web answers 200; return how it all ended."""
    final = {"": S.PENDING}
    for _ in range(60):
        if S.PENDING not in final.values():
            break
        await crash_if_stuck(scene)
        scene.clock.now_us += 4000 * SECOND_US
        final = await scene.run(states)
    return final


def check_repeats(requests: list[Sent]) -> None:
    """All attempts of one event say the same, and no attempt number is used twice."""
    contents: dict[str, set[tuple[str, bytes]]] = {}
    for sent in requests:
        contents.setdefault(sent.event, set()).add((sent.url, sent.body))
        assert dict(parse_qsl(sent.body.decode()))["digits"] != "blanked"
    assert all(len(of_one) == 1 for of_one in contents.values())
    numbers = [(sent.event, sent.attempt) for sent in requests]
    assert len(set(numbers)) == len(numbers)


async def overtaken(scene: Scene, sent: Sent) -> list[str]:
    """What is still to be delivered before what is being sent: always nothing."""
    _, session, sequence = sent.event.split("_")
    earlier = await scene.run(lambda c: notifications.list_of_session(c, session))
    return [n.id for n in earlier if n.sequence < int(sequence) and n.state is S.PENDING]


async def hang_up(scene: Scene, session: str) -> Notification:
    """End the call as settle_call does: one transaction."""

    def end(connection: Connection) -> Notification:
        end_session(connection, session)
        notifications.supersede(connection, session, scene.clock.now_us)
        return add_notification(
            connection,
            session,
            block="hangup",
            parameters="digits=9",
            call_ended=True,
            now_us=scene.clock.now_us,
        )

    return await scene.run(end)


async def crash_if_stuck(scene: Scene) -> None:
    """Let everything leave that may; a sender that hangs dies."""
    n_before = -1
    while n_before != len(scene.application.sent):
        n_before = len(scene.application.sent)
        await scene.delivery._send_due()
        while scene.delivery._in_flight:
            done, _ = await asyncio.wait(scene.delivery._in_flight, timeout=0.02)
            if not done and len(scene.application.sent) > n_before:
                await restart(scene)


async def restart(scene: Scene) -> None:
    """The process ends without a word, and another one begins on the same database."""
    await scene.delivery.stop()
    scene.delivery = scene.new_delivery()
