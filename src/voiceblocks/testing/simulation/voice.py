"""What a test of an application holds: a node, phones, and the application, on virtual time.

```
def test_a_message_is_recorded(voice):          # the fixture of the pytest plugin
    voice.answer_with(Voicemail(voice.client, voice.notify_url))
    call = voice.call()
    call.hears("Please leave a message.")
    call.waits_for_beep()
    call.says(5)
    call.presses("#")
    call.is_hung_up()
    assert voice.recordings[0].duration_s == pytest.approx(5, abs=0.1)
```
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import io
import json
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceblocks import randomness
from voiceblocks.blocks.msg import parse_msg
from voiceblocks.client import AsyncClient, Client, Notification, RequestFailed
from voiceblocks.client.notifications import parse_notification
from voiceblocks.speech.interfaces import Clip
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.simulation.applications import (
    Handler,
    WsgiApp,
    host_of_asgi,
    host_of_handler,
    host_of_wsgi,
)
from voiceblocks.testing.simulation.calls import AsyncScriptedCall, ScriptedCall
from voiceblocks.testing.simulation.far_end import FarEnd
from voiceblocks.testing.simulation.folders import memory_folder, prompts_folder
from voiceblocks.testing.simulation.http import ASGIApp, Host, HttpAnswer, HttpRequest, ask_asgi
from voiceblocks.testing.simulation.in_step import ask_loop, is_in_step
from voiceblocks.testing.simulation.media import MediaClock
from voiceblocks.testing.simulation.network import SimulatedNetwork, SipDatagram
from voiceblocks.testing.simulation.node import (
    API_HOST,
    NODE_HOST,
    PHONE_HOST,
    PUBLIC_URL,
    SIP_PORT,
    TRUNK_HOST,
    Options,
    SimulatedNode,
)
from voiceblocks.testing.simulation.phone_media import media_maker
from voiceblocks.testing.simulation.recordings import SimulatedRecording
from voiceblocks.testing.simulation.timeline import ScriptFailed, Timeline
from voiceblocks.testing.simulation.virtual_loop import VirtualLoop

T = TypeVar("T")

NOTIFY_URL = "http://application.example/notify"
FILES_HOST = "files.example"
CALLER = "+6591234567"

QUIET_S = 1.0
"After so much time without a notification or request nothing more is expected."
QUIET_LIMIT_S = 60.0

_NAMES = {NODE_HOST: "node", PHONE_HOST: "phone", TRUNK_HOST: "far end"}


class Voice:
    """
    A simulation. A context manager; the pytest fixture `voice` is one.

    Belongs to one thread, in which no event loop runs.

    Args:
        options: How it shall be.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.notify_url = NOTIFY_URL
        "Where the application is notified; `answer_with` may set another."
        self.timeline = Timeline()
        "All that happened."
        self.notifications: list[Notification] = []
        "As the application was sent them, repeats included."
        self._sent: list[HttpRequest] = []
        self._errors: list[Exception] = []
        self._answering: Host | None = None
        self._files: dict[str, bytes] = {}
        self._busy = 0
        self._last_s = 0.0
        folder = tempfile.mkdtemp(
            prefix="voiceblocks-simulation-", dir=memory_folder(self.options.calls)
        )
        self._folder = Path(folder)
        self._network = SimulatedNetwork()
        self._network.on_sip = self._on_sip
        if self.options.keep_rtp_digest:
            self._network.watch_rtp()
        self._sip: list[SipDatagram] = []
        self._loop = VirtualLoop(self._network)
        self._context = contextvars.copy_context()
        self._context.run(randomness.SOURCE.set, Random(self.options.seed))  # noqa: S311 - predictable on purpose
        self._closed = False
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self.run(self._start())

    async def _start(self) -> None:
        self._media = MediaClock(self._loop, cruises=self.options.cruises)
        self.node = SimulatedNode(
            self._loop, self._network, self._media, self._folder, prompts_folder(), self.options
        )
        await self.node.start()
        app, token = self.node.add_application(self.options)
        self.app_id, self.access_token = str(app.id), token
        self._account_id = str(app.account_id)
        await self.node.use_trunks()
        maker = media_maker(self._loop, self._media, self._network)
        self._phone = Phone(PHONE_HOST, CALLER, clock=self._loop, new_media=maker)
        self._trunk = FakeTrunk(TRUNK_HOST, port=SIP_PORT, clock=self._loop, new_media=maker)
        await self._phone.__aenter__()
        await self._trunk.__aenter__()
        self.node.http.hosts[FILES_HOST] = self._serve_file
        self.node.http.hosts[API_HOST] = host_of_asgi(self.api)

    def __enter__(self) -> Self:
        """It has begun already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """End all calls, and delete everything that was written."""
        if self._closed:
            return
        self._closed = True
        try:
            self._context.run(self._loop.run_until_complete, self._stop())
        finally:
            self._loop.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _stop(self) -> None:
        await self._phone.__aexit__(None, None, None)
        await self._trunk.__aexit__(None, None, None)
        await self.node.stop()
        self._media.stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # The application

    @functools.cached_property
    def client(self) -> Client:
        """The API, for blocking code: for the application, and for the test itself."""
        return Client(
            f"{PUBLIC_URL}/open/", self.app_id, self.access_token, transport=self._ask_blocking
        )

    @functools.cached_property
    def async_client(self) -> AsyncClient:
        """The API, for coroutines."""
        return AsyncClient(
            f"{PUBLIC_URL}/open/", self.app_id, self.access_token, transport=self._ask_api
        )

    @property
    def api(self) -> ASGIApp:
        """The node's public application, such as for `httpx.ASGITransport(app=voice.api)`."""
        return self.node.app

    def answer_with(
        self, handler: Handler, *, notify_url: str = NOTIFY_URL, may_fail: bool = False
    ) -> None:
        """
        Let the application's numbers be answered by a function of a notification.

        Args:
            handler: A function or a coroutine function, called with each notification.
            notify_url: Where it is; one host for a simulation.
            may_fail: What it raises is answered with 500 and sent again, and fails no test.
        """
        host = host_of_handler(handler, self.access_token, lambda: self._loop.utc_us() / 1_000_000)
        self._answer_at(host, notify_url, may_fail=may_fail)

    def answer_with_asgi(
        self, app: ASGIApp, *, notify_url: str = NOTIFY_URL, may_fail: bool = False
    ) -> None:
        """The same by an ASGI application, such as FastAPI's; its path is that of `notify_url`."""
        self._answer_at(host_of_asgi(app), notify_url, may_fail=may_fail)

    def answer_with_wsgi(
        self, app: WsgiApp, *, notify_url: str = NOTIFY_URL, may_fail: bool = False
    ) -> None:
        """The same by a WSGI application, such as Flask's."""
        self._answer_at(host_of_wsgi(app), notify_url, may_fail=may_fail)

    def publish(self, name: str, audio: bytes | Path | NDArray[np.int16]) -> str:
        """
        Put a sound file where blocks can fetch it: `<url>…</url>` in `msg`.

        Args:
            name: Such as `welcome.wav`.
            audio: A file's content, its path, or 8 kHz samples that become a WAV.

        Returns:
            Its URL.
        """
        self._files[name] = _file_content(audio)
        return f"http://{FILES_HOST}/{name}"

    # Phones

    async def call_async(
        self, number: str | None = None, *, from_number: str = CALLER, **options: Any
    ) -> AsyncScriptedCall:
        """Call a number of the application; for scripts that are coroutines. See `call`."""
        if self._answering is None:
            raise self.failure("nobody answers: say voice.answer_with(…) first")
        dialled = number or self.options.numbers[0]
        self.note(from_number, f"calls {dialled}")
        target = f"sip:{dialled}@{NODE_HOST}:{SIP_PORT}"
        call = await self._phone.call(target, from_number=from_number, **options)
        return AsyncScriptedCall(self, call, from_number)

    def call(
        self, number: str | None = None, *, from_number: str = CALLER, **options: Any
    ) -> ScriptedCall:
        """
        Call a number of the application; returns at once, while it rings.

        Args:
            number: Its first one if omitted.
            from_number: Who calls.
            options: More of `Phone.call`, such as `codecs` or `impairments`.
        """
        made = self.run(self.call_async(number, from_number=from_number, **options))
        return ScriptedCall(self, made)

    def phone(self, number: str) -> FarEnd:
        """Somebody whom the application may call."""
        return FarEnd(self, self._trunk, number)

    # Time

    @property
    def now_s(self) -> float:
        """Virtual seconds; only differences mean something."""
        return self._loop.time()

    @property
    def skipped_ticks(self) -> int:
        """Ticks of the media that were done as parts of a stretch (`cruise`)."""
        return self._media.skipped

    def run(self, script: Awaitable[T]) -> T:
        """
        Await a coroutine on virtual time, such as a script with several callers.

        Raises:
            ScriptFailed: If the application failed meanwhile (its own exception is the cause).
        """
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the only way that asks
            if asyncio.iscoroutine(script):
                script.close()
            raise ScriptFailed(
                "a simulation has a loop of its own: write the test as def, not async def, and "
                "await inside of voice.run(…)"
            )
        result = self._context.run(
            self._loop.run_until_complete, self._unless_application_fails(script)
        )
        self._raise_errors()
        return result

    def waits(self, seconds: float) -> None:
        """So much time passes."""
        self.run(asyncio.sleep(seconds))

    def settles(self) -> None:
        """Return when all calls have ended and all is told."""
        self.run(self._settled())

    async def _settled(self) -> None:
        deadline = self._loop.time() + QUIET_LIMIT_S
        while self.node.engine.live_calls:
            if self._loop.time() > deadline:
                raise self.failure(f"a call is still up after {QUIET_LIMIT_S:g} s")
            await asyncio.sleep(0.1)
        await self.quiet()

    async def quiet(self) -> None:
        """Return when no notification and no request has come for a while."""
        deadline = self._loop.time() + QUIET_LIMIT_S
        self._last_s = self._loop.time()
        while self._busy or self._loop.time() - self._last_s < QUIET_S:
            if self._loop.time() > deadline:
                return
            await asyncio.sleep(0.1)

    # What came of it

    @property
    def recordings(self) -> list[SimulatedRecording]:
        """All that the application was told of and that can be fetched, each once, in order."""
        found: dict[str, SimulatedRecording] = {}
        for told in self.notifications:
            for url in (told.record_url, told.monitor_url):
                if url and url not in found:
                    found[url] = SimulatedRecording(url, self.fetch(url), told)
        return list(found.values())

    def fetch(self, url: str) -> bytes:
        """
        GET a link of the node, such as a recording's.

        Raises:
            ScriptFailed: If it is not there.
        """
        answer = self.run(ask_asgi(self.api, HttpRequest("GET", url, {}, b"")))
        if answer.status != 200:
            raise self.failure(f"a recording's link answers {answer.status}")
        return answer.body

    def failure(self, why: str) -> ScriptFailed:
        """Return what to raise: why, and what happened until now."""
        text = f"{why}\n\nWhat happened:\n{self.timeline.text()}"
        failed = ScriptFailed(text)
        if self._errors:
            failed.__cause__ = self._errors[0]
        return failed

    def note(self, who: str, what: str) -> None:
        """Add a line to the timeline."""
        self.timeline.add(self._loop.time(), who, what)

    def transcript(self) -> bytes:
        """
        Everything that left the node or came to it, to be compared with another run's.

        SIP messages, notifications with their headers, the timeline, the recordings; and a digest
        of all RTP where `Options.keep_rtp_digest` is set. Of one seed, script and version it is the
        same, byte for byte, on every machine of one kind.
        """
        sip = [
            f"{one.at_s:.6f} {one.source} {one.target}\n".encode() + one.data for one in self._sip
        ]
        told = [
            json.dumps([one.url, sorted(one.headers.items()), one.body.decode()]).encode()
            for one in self._sent
        ]
        recorded = [f"{one.url}\n".encode() + one.content for one in self.recordings]
        lines = [str(moment).encode() for moment in self.timeline.moments]
        rtp = self._network.rtp_digest().encode()
        return b"\n".join([*sip, *told, *lines, *recorded, rtp])

    # For calls

    async def clips_of(self, msg: str | Path) -> list[Clip]:
        """What the node plays for a `msg`, or for a sound file."""
        if isinstance(msg, Path):
            return [await self.node.render.render_audio_file(msg, msg.suffix)]
        return await self.node.prompts.prepare(parse_msg(msg), self._account_id)

    async def beep(self) -> Clip:
        """What the node plays before it records."""
        return await self.node.render.beep()

    # Inside

    def _answer_at(self, host: Host, notify_url: str, *, may_fail: bool) -> None:
        if self._answering is None:
            self.node.add_numbers(self.app_id, notify_url)
            self.notify_url = notify_url
        elif notify_url != self.notify_url:
            raise ValueError(f"the numbers are answered at {self.notify_url} already")
        self._answering = host
        name = (urlsplit(notify_url).hostname or "").lower()
        self.node.http.hosts[name] = functools.partial(self._notify, may_fail=may_fail)

    async def _notify(self, request: HttpRequest, *, may_fail: bool) -> HttpAnswer:
        assert self._answering is not None
        if request.method != "POST":
            return await self._answering(request)
        self._sent.append(request)
        told = parse_notification(request.body)
        self.notifications.append(told)
        what = " ".join(filter(None, [told.block, told.call_state, _outcome(told)]))
        self.note("node", f"notifies: {what}")
        with self._something_going_on():
            try:
                answer = await self._answering(request)
            except Exception as error:
                self.note("application", f"fails: {type(error).__name__}: {error}")
                if may_fail:
                    return HttpAnswer(500)
                self._errors.append(error)
                if not self._broken.done():
                    self._broken.set_result(None)
                raise
        if answer.status >= 400:
            self.note("application", f"answers {answer.status}")
        return answer

    @contextlib.contextmanager
    def _something_going_on(self) -> Any:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._last_s = self._loop.time()

    async def _ask_api(self, url: str, form: bytes) -> bytes:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        with self._something_going_on():
            answer = await ask_asgi(self.api, HttpRequest("POST", url, headers, form))
        status = json.loads(answer.body).get("status")
        self.note("application", f"asks {urlsplit(url).path.removeprefix('/open/')}: {status}")
        return answer.body

    def _ask_blocking(self, url: str, form: bytes) -> bytes:
        if is_in_step():
            return ask_loop(lambda: self._ask_api(url, form))
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.run(self._ask_api(url, form))
        raise RequestFailed("a coroutine cannot wait for the blocking client: use async_client")

    async def _serve_file(self, request: HttpRequest) -> HttpAnswer:
        content = self._files.get(urlsplit(request.url).path.lstrip("/"))
        return HttpAnswer(404) if content is None else HttpAnswer(200, content)

    def _on_sip(self, sent: SipDatagram) -> None:
        self._sip.append(sent)
        self.timeline.add_sip(sent, _NAMES.get(sent.source[0], sent.source[0]))

    async def _unless_application_fails(self, script: Awaitable[T]) -> T:
        work: asyncio.Future[T] = asyncio.ensure_future(script)
        self._broken = asyncio.get_running_loop().create_future()
        either: list[asyncio.Future[Any]] = [work, self._broken]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait([work])
                self._raise_errors()
            return work.result()
        finally:
            self._broken.cancel()
            work.cancel()

    def _raise_errors(self) -> None:
        if self._errors:
            error = self._errors[0]
            raise self.failure(
                f"the application failed: {type(error).__name__}: {error}"
            ) from error


def _outcome(told: Notification) -> str:
    return next(
        filter(
            None, (told.record_status, told.monitor_status, told.dial_status, told.transfer_status)
        ),
        "",
    )


def _file_content(audio: bytes | Path | NDArray[np.int16]) -> bytes:
    if isinstance(audio, bytes):
        return audio
    if isinstance(audio, Path):
        return audio.read_bytes()
    written = io.BytesIO()
    soundfile.write(written, audio, 8000, format="WAV", subtype="PCM_16")
    return written.getvalue()


__all__ = ["FarEnd", "Options", "ScriptFailed", "SimulatedRecording", "Voice"]
