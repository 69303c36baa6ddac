"""A real server process and a real application for functional tests.

`ServerProcess` runs `voiceblocks serve` on free loopback ports with a data folder of its
own; `Application` is one application with one number, a webhook sink and a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from voiceblocks.accounts.secret_key import load_or_create
from voiceblocks.database.unit_of_work import Database
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.webhook_sink import ReceivedNotification, WebhookSink
from voiceblocks.workflows import manage_accounts

START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0
NOTIFICATION_LIMIT_S = 15.0

_numbers = itertools.count(secrets.randbelow(40_000_000))


@dataclass
class ServerProcess:
    """`voiceblocks serve` in a process tree of its own."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    http: str = ""
    sip: str = ""
    admin: str = ""
    process: asyncio.subprocess.Process | None = None
    stderr: Path | None = None
    "Where its log goes; to the test's own standard error if omitted."

    async def start(self) -> Self:
        """Start it and wait for its ready line."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("VOICEBLOCKS_")},
            "VOICEBLOCKS_DATA_DIR": str(self.data_dir),
            "VOICEBLOCKS_HTTP_LISTEN": self.http or "127.0.0.1:0",
            "VOICEBLOCKS_ADMIN_LISTEN": "127.0.0.1:0",
            "VOICEBLOCKS_SIP_LISTEN": self.sip or "127.0.0.1:0",
            "VOICEBLOCKS_MEDIA_WORKERS": "1",
            "VOICEBLOCKS_MAX_CALLS_PER_ACCOUNT": "1000",
            "VOICEBLOCKS_RATE_LIMIT_IVR": "100000",
            **{f"VOICEBLOCKS_{name}": value for name, value in self.settings.items()},
        }
        with contextlib.ExitStack() as opened:
            log = None if self.stderr is None else opened.enter_context(self.stderr.open("ab"))
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "voiceblocks", "serve", "--json",
                env=environment, stdout=asyncio.subprocess.PIPE, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        async with asyncio.timeout(START_LIMIT_S):
            line = await self.process.stdout.readline()
        if not line:
            raise AssertionError("the server did not start; what it said is in the captured stderr")
        ready = json.loads(line)
        self.http, self.sip, self.admin = ready["http"], ready["sip"], ready["admin"]
        return self

    async def next_ready_line(self) -> None:
        """Wait until a crashed control process was started again and is ready."""
        assert self.process is not None
        assert self.process.stdout is not None
        async with asyncio.timeout(START_LIMIT_S):
            ready = json.loads(await self.process.stdout.readline())
        self.http, self.sip, self.admin = ready["http"], ready["sip"], ready["admin"]

    async def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Stop it politely; returns its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(STOP_LIMIT_S):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode

    def pids(self) -> dict[str, list[int]]:
        """All processes of the tree by what they are: supervisor, control, worker, keeper."""
        assert self.process is not None
        found: dict[str, list[int]] = {"supervisor": [self.process.pid]}
        waiting = [self.process.pid]
        while waiting:
            parent = waiting.pop()
            for child in _children(parent):
                waiting.append(child)
                found.setdefault(_module(child), []).append(child)
        return found

    def kill_all(self) -> None:
        """`kill -9` of everything at once, the supervisor first."""
        for pids in self.pids().values():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)

    async def gone(self) -> None:
        """Wait for the killed supervisor to be reaped."""
        assert self.process is not None
        await self.process.communicate()

    @property
    def database_url(self) -> str:
        """Where it keeps its facts."""
        return self.settings.get("DATABASE_URL") or f"sqlite:///{self.data_dir / 'voiceblocks.db'}"


def _children(pid: int) -> list[int]:
    children = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += [int(text) for text in thread.read_text().split()]
        except OSError:
            continue
    return children


def _module(pid: int) -> str:
    """The last part of `python -m a.b.c`, so `worker`, `keeper`, `process`, `server`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "gone"
    return words[words.index("-m") + 1].rpartition(".")[2] if "-m" in words else words[0]


class Application:
    """
    One application with one number of its own and a place where its notifications arrive.

    Args:
        server: Which server.
        credit: Of its account.
    """

    def __init__(self, server: ServerProcess, *, credit: str = "100.00") -> None:
        self.server = server
        self.sink = WebhookSink()
        self.number = f"+65{60_000_000 + next(_numbers) % 40_000_000}"
        self.app_id = ""
        self.account_id = ""
        self.access_token = ""
        self._credit = credit
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Start the sink and make account, application and number."""
        await self.sink.start()
        self._http = aiohttp.ClientSession()
        await asyncio.to_thread(self._create)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close both."""
        assert self._http is not None
        await self._http.close()
        await self.sink.stop()

    def url(self, name: str = "") -> str:
        """A notify_url of ours."""
        return self.sink.url + name

    def sip(self, number: str | None = None) -> str:
        """What a phone dials."""
        return f"sip:{number or self.number}@{self.server.sip}"

    async def request(self, path: str, **parameters: str) -> dict[str, Any]:
        """Ask the API, with our credentials unless given."""
        assert self._http is not None
        fields = {"app_id": self.app_id, "access_token": self.access_token, **parameters}
        async with self._http.post(f"http://{self.server.http}/open/{path}", data=fields) as reply:
            assert reply.status == 200
            answer: dict[str, Any] = await reply.json()
            return answer

    async def block(self, path: str, session: str, **parameters: str) -> str:
        """Ask for a block; return the status."""
        answer = await self.request(path, session=session, **parameters)
        return str(answer["status"])

    async def record(self, session: str, **parameters: str) -> None:
        """Ask for the record block, which must be accepted."""
        given = {"notify_url": self.url(), **parameters}
        assert await self.block("ivr/middle/record", session, **given) == "success_ok"

    async def told(self, **match: str) -> ReceivedNotification:
        """The next notification that matches."""
        return await self.sink.next(NOTIFICATION_LIMIT_S, **match)

    async def fetch(self, url: str) -> bytes:
        """Download what a link points to."""
        assert self._http is not None
        async with self._http.get(url) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.read()

    @property
    def http(self) -> aiohttp.ClientSession:
        """For requests of any other kind."""
        assert self._http is not None
        return self._http

    def _create(self) -> None:
        database = Database(self.server.database_url)
        key = load_or_create(self.server.data_dir / "secret.key")
        now_us = SystemClock().utc_us()
        try:
            account = database.run_sync(
                lambda c: manage_accounts.create_account(
                    c, name="Test", currency="SGD", credit=self._credit, now_us=now_us
                )
            )
            made, token = database.run_sync(
                lambda c: manage_accounts.create_application(
                    c, key, account_id=account.id, name="test", now_us=now_us
                )
            )
            database.run_sync(
                lambda c: manage_accounts.add_number(
                    c, number=self.number, app_id=made.id, notify_url=self.url(), now_us=now_us
                )
            )
        finally:
            database.close()
        self.account_id, self.app_id, self.access_token = account.id, made.id, token
