"""A real server on a free port in front of recording fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from voiceblocks.accounts.errors import InvalidAccessToken, InvalidAppId
from voiceblocks.accounts.model import Application
from voiceblocks.api.app import create_app
from voiceblocks.api.handlers import ApiHandlers
from voiceblocks.api.http_server import HttpServer
from voiceblocks.api.metrics import ApiMetrics
from voiceblocks.api.rate_limits import InMemoryRateLimiter
from voiceblocks.blocks.call import CallCommand
from voiceblocks.blocks.command import Command, Request
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
from voiceblocks.blocks.moderate import ModerateCommand
from voiceblocks.blocks.pause_recording import PauseRecordingCommand
from voiceblocks.blocks.query_status import QueryStatusCommand
from voiceblocks.blocks.recording_health import RecordingHealthCommand
from voiceblocks.blocks.renew_link import RenewLinkCommand
from voiceblocks.blocks.resume_recording import ResumeRecordingCommand
from voiceblocks.blocks.revoke_links import RevokeLinksCommand
from voiceblocks.blocks.subscribe import SubscribeCommand
from voiceblocks.blocks.update_forwarding import UpdateForwardingCommand
from voiceblocks.blocks.voice_hangup import VoiceHangupCommand
from voiceblocks.errors import RequestRefused
from voiceblocks.ids import AccountId, AppId

APP_ID = "App0123456789abc"
TOKEN = "Token0123456789a"
MODIFIED_US = 1_700_000_000_123_456
AUDIO = bytes(range(256)) * 40
SHA256 = "ab" * 32
NAME = "rec-0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f.mp3"


@dataclass
class FakeSubmitter:
    """Knows one application, notes what is submitted, fails on demand."""

    commands: list[Command] = field(default_factory=list)
    error: Exception | None = None
    extra: dict[str, str] = field(default_factory=dict)

    async def authenticate(self, app_id: str, access_token: str) -> Application:
        """Fulfil `BlockSubmitter`."""
        if access_token != TOKEN:
            raise InvalidAccessToken
        if app_id != APP_ID:
            raise InvalidAppId
        return Application(
            id=AppId(app_id), account_id=AccountId("acc_1"), name="test", created_us=0
        )

    async def submit(self, app: Application, command: Command) -> Mapping[str, str]:
        """Fulfil `BlockSubmitter`."""
        assert app.id == APP_ID
        if self.error is not None:
            raise self.error
        self.commands.append(command)
        return self.extra


@dataclass
class FakeCalls:
    """Places, moderates and tells of calls that are not there; fails on demand."""

    requests: list[Request] = field(default_factory=list)
    error: Exception | None = None
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    "What is answered beside `status`, by the request's name."

    async def dial(self, app: Application, command: DialCommand) -> Mapping[str, Any]:
        """Fulfil `CallPlacer`."""
        return self._answer(app, command)

    async def call(self, app: Application, command: CallCommand) -> Mapping[str, Any]:
        """Fulfil `CallPlacer`."""
        return self._answer(app, command)

    async def conference(self, app: Application, command: ConferenceCommand) -> Mapping[str, Any]:
        """Fulfil `CallPlacer`."""
        return {"txn_refs": [], "room": "R1", **self._answer(app, command)}

    async def moderate(self, app: Application, command: ModerateCommand) -> Mapping[str, Any]:
        """Fulfil `CallModeration`."""
        return self._answer(app, command)

    async def hang_up(self, app: Application, command: VoiceHangupCommand) -> Mapping[str, Any]:
        """Fulfil `CallModeration`."""
        return self._answer(app, command)

    async def query_status(
        self, app: Application, command: QueryStatusCommand
    ) -> Mapping[str, Any]:
        """Fulfil `CallQueries`."""
        return self._answer(app, command)

    async def get_history(self, app: Application, command: GetHistoryCommand) -> Mapping[str, Any]:
        """Fulfil `CallQueries`."""
        return self._answer(app, command)

    async def get_rate(self, app: Application, command: GetRateCommand) -> Mapping[str, Any]:
        """Fulfil `CallQueries`."""
        return self._answer(app, command)

    async def get_balance(self, app: Application) -> Mapping[str, Any]:
        """Fulfil `AccountQueries`."""
        return self._answer(app, GetBalanceCommand())

    async def get_info(self, app: Application) -> Mapping[str, Any]:
        """Fulfil `AccountQueries`."""
        return self._answer(app, GetInfoCommand())

    async def get_active(self, app: Application) -> Mapping[str, Any]:
        """Fulfil `NumberShop`."""
        return self._answer(app, GetActiveCommand())

    async def get_countries(self, app: Application) -> Mapping[str, Any]:
        """Fulfil `NumberShop`."""
        return self._answer(app, GetCountriesCommand())

    async def get_choices(self, app: Application, command: GetChoicesCommand) -> Mapping[str, Any]:
        """Fulfil `NumberShop`."""
        return self._answer(app, command)

    async def get_rates(self, app: Application, command: GetRatesCommand) -> Mapping[str, Any]:
        """Fulfil `NumberShop`."""
        return self._answer(app, command)

    async def subscribe(self, app: Application, command: SubscribeCommand) -> Mapping[str, Any]:
        """Fulfil `NumberShop`."""
        return self._answer(app, command)

    async def update_forwarding(
        self, app: Application, command: UpdateForwardingCommand
    ) -> Mapping[str, Any]:
        """Fulfil `NumberShop`."""
        return self._answer(app, command)

    async def pause(self, app: Application, command: PauseRecordingCommand) -> Mapping[str, Any]:
        """Fulfil `CallModeration`."""
        return self._answer(app, command)

    async def resume(self, app: Application, command: ResumeRecordingCommand) -> Mapping[str, Any]:
        """Fulfil `CallModeration`."""
        return self._answer(app, command)

    async def health(self, app: Application, command: RecordingHealthCommand) -> Mapping[str, Any]:
        """Fulfil `RecordingChanges`."""
        return self._answer(app, command)

    async def link(self, app: Application, command: RenewLinkCommand) -> Mapping[str, Any]:
        """Fulfil `RecordingChanges`."""
        return self._answer(app, command)

    async def revoke(self, app: Application, command: RevokeLinksCommand) -> Mapping[str, Any]:
        """Fulfil `RecordingChanges`."""
        return self._answer(app, command)

    async def delete(self, app: Application, command: DeleteRecordingCommand) -> Mapping[str, Any]:
        """Fulfil `RecordingChanges`."""
        return self._answer(app, command)

    def _answer(self, app: Application, request: Request) -> dict[str, Any]:
        assert app.id == APP_ID
        if self.error is not None:
            raise self.error
        self.requests.append(request)
        return self.answers.get(request.block, {})


@dataclass
class FakeFile:
    """A recording in memory."""

    content: bytes = AUDIO
    name: str = "rec-1.mp3"
    last_modified_us: int = MODIFIED_US
    sha256: str | None = SHA256
    is_once: bool = False
    redirect_url: str | None = None

    @property
    def size_bytes(self) -> int:
        """Fulfil `RecordingFile`."""
        return len(self.content)

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield pieces of an odd size."""
        for position in range(start, end, 1000):
            yield self.content[position : min(position + 1000, end)]


@dataclass
class FakeSource:
    """Checks a signature of one word; has one recording."""

    file: FakeFile = field(default_factory=FakeFile)
    opened: list[tuple[str, str]] = field(default_factory=list)

    async def open(self, name: str, method: str, query: Mapping[str, str]) -> FakeFile | None:
        """Fulfil `RecordingSource`."""
        if query.get("Signature") == "old":
            raise RequestRefused("The link has expired.")
        if query.get("Signature") != "good+":
            raise RequestRefused("The link is wrong.")
        self.opened.append((name, method))
        return self.file if name == NAME else None


@dataclass
class SwappableLimiter:
    """Allows everything unless a test puts a real one in its place."""

    real: InMemoryRateLimiter | None = None

    def count(self, app_id: str, api: str) -> None:
        """Fulfil `RateLimiter`."""
        if self.real is not None:
            self.real.count(app_id, api)


@dataclass
class Api:
    """The running server and its fakes."""

    url: str
    port: int
    http: aiohttp.ClientSession
    submitter: FakeSubmitter
    calls: FakeCalls
    source: FakeSource
    limiter: SwappableLimiter
    registry: CollectorRegistry
    not_ready: list[str]

    async def status(self, path: str, params: Mapping[str, str], method: str = "POST") -> str:
        """Send parameters as a form or query with good credentials; return the status."""
        return str((await self.answer(path, params, method))["status"])

    async def answer(
        self, path: str, params: Mapping[str, str], method: str = "POST"
    ) -> dict[str, Any]:
        """As `status`, but return the whole answer."""
        complete = {"app_id": APP_ID, "access_token": TOKEN, **params}
        where = {"params": complete} if method == "GET" else {"data": complete}
        async with self.http.request(method, f"{self.url}/open/{path}", **where) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
        assert isinstance(answer["status"], str)
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving() -> AsyncIterator[Api]:
    """The public application on a free loopback port, for a module."""
    submitter, calls = FakeSubmitter(), FakeCalls()
    source, limiter = FakeSource(), SwappableLimiter()
    not_ready = list[str]()
    registry = CollectorRegistry()
    handlers = ApiHandlers(
        blocks=submitter,
        calls=calls,
        moderation=calls,
        queries=calls,
        account=calls,
        numbers=calls,
        changes=calls,
        rate_limiter=limiter,
        recordings=source,
        readiness=lambda: not_ready,
    )
    server = HttpServer(create_app(handlers, metrics=ApiMetrics(registry)), "127.0.0.1", 0)
    await server.start()
    host, port = server.address
    url = f"http://{host}:{port}"
    async with aiohttp.ClientSession() as http:
        yield Api(url, port, http, submitter, calls, source, limiter, registry, not_ready)
    await server.stop()


@pytest.fixture
def api(serving: Api) -> Api:
    """The running application, with its fakes as new."""
    vars(serving.submitter).update(vars(FakeSubmitter()))
    vars(serving.calls).update(vars(FakeCalls()))
    vars(serving.source).update(vars(FakeSource()))
    serving.limiter.real = None
    serving.not_ready.clear()
    return serving
