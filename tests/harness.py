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

from tests.ports import free_address
from voiceblocks.accounts.secret_key import load_or_create
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ipc import die_with_parent
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.webhook_sink import ReceivedNotification, WebhookSink
from voiceblocks.workflows import manage_accounts

START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0
NOTIFICATION_LIMIT_S = 15.0
SETTLED_LIMIT_S = 5.0

Option = str | bool | tuple[str, ...] | None
"Value of an option of the command line, see `ServerProcess.cli`."

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
            **self._environment(),
            "VOICEBLOCKS_HTTP_LISTEN": self.http or free_address(),
            "VOICEBLOCKS_ADMIN_LISTEN": "127.0.0.1:0",
            "VOICEBLOCKS_SIP_LISTEN": self.sip or free_address(),
            "VOICEBLOCKS_MEDIA_WORKERS": "1",
            "VOICEBLOCKS_MAX_CALLS_PER_ACCOUNT": "1000",
            "VOICEBLOCKS_RATE_LIMIT_IVR": "100000",
            "VOICEBLOCKS_RATE_LIMIT_QUERY": "100000",
            "VOICEBLOCKS_DIALS_PER_MINUTE": "100000",
            **self._settings(),
        }
        with contextlib.ExitStack() as opened:
            log = None if self.stderr is None else opened.enter_context(self.stderr.open("ab"))
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "voiceblocks", "serve", "--json",
                env=environment, stdout=asyncio.subprocess.PIPE, stderr=log,
                start_new_session=True,
                # A test run that is killed leaves no servers behind.
                preexec_fn=die_with_parent,
            )  # fmt: skip
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(START_LIMIT_S):
                line = await self.process.stdout.readline()
        except TimeoutError:
            # Left alone, it would slow down every test that comes.
            self.kill_all()
            raise
        if not line:
            raise AssertionError("the server did not start; what it said is in the captured stderr")
        ready = json.loads(line)
        self.http, self.sip, self.admin = ready["http"], ready["sip"], ready["admin"]
        return self

    def _environment(self) -> dict[str, str]:
        """Ours, without any setting of the developer's, and where the facts are."""
        others = {k: v for k, v in os.environ.items() if not k.startswith("VOICEBLOCKS_")}
        return {**others, "VOICEBLOCKS_DATA_DIR": str(self.data_dir)}

    def _settings(self) -> dict[str, str]:
        return {f"VOICEBLOCKS_{name}": value for name, value in self.settings.items()}

    async def cli(self, *words: str, stdin: str = "", **options: Option) -> dict[str, Any]:
        """
        Run a command of the operator, such as `account list`, and return what it says.

        Args:
            words: The command and its arguments.
            stdin: What is typed.
            options: `number_format="plain"` becomes `--number-format plain`, `True` the option
                alone, a tuple the option once for each of its values; `None` and `False` nothing.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "voiceblocks", *words, *_as_options(options), "--json",
            env={**self._environment(), **self._settings()},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(START_LIMIT_S):
            said, complaint = await process.communicate(stdin.encode())
        assert process.returncode == 0, f"{words}: {said.decode()}{complaint.decode()}"
        answer: dict[str, Any] = json.loads(said)
        return answer

    async def add_trunk(
        self, name: str, host_port: str, *, password: str | None = None, **options: Option
    ) -> dict[str, Any]:
        """
        Make a trunk; the server learns of it by itself within a few seconds.

        Args:
            name: Its name.
            host_port: Where it is, such as `FakeTrunk.address`.
            password: Typed in.
            options: Of `trunk add`, such as `username`, `register=True`, `prefix=("+65",)`.
        """
        return await self.cli(
            "trunk", "add", name, address=f"sip:{host_port}", stdin=f"{password or ''}\n", **options
        )

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
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await self.process.communicate()
        except TimeoutError:
            self.kill_all()
            raise
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


def _as_options(options: Mapping[str, Option]) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, tuple):
            words += [word for one in value for word in (option, one)]
        elif isinstance(value, str):
            words += [option, value]
    return words


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
        beside: Another application, whose account it shares.
    """

    def __init__(
        self,
        server: ServerProcess,
        *,
        credit: str = "100.00",
        beside: Application | None = None,
    ) -> None:
        self.server = server
        self.sink = WebhookSink()
        self.number = f"+65{60_000_000 + next(_numbers) % 40_000_000}"
        self.app_id = ""
        self.account_id: str = "" if beside is None else beside.account_id
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

    async def accepted(self, path: str, **parameters: str) -> dict[str, Any]:
        """Ask the API for something that it must accept; notifications come to us."""
        given = {"notify_url": self.url(), **parameters}
        answer = await self.request(path, **given)
        assert answer["status"] == "success_ok", f"{path}: {answer}"
        return answer

    async def allow(self, *prefixes: str) -> None:
        """Let our account call numbers that begin so."""
        for prefix in prefixes:
            await self.server.cli("account", "allow", self.account_id, prefix=prefix)

    async def dial(self, dest: str, **parameters: str) -> dict[str, Any]:
        """Dial, which must be accepted; returns `txn_ref` and `session`."""
        return await self.accepted("ivr/start/dial", dest=dest, **parameters)

    async def transfer(self, session: str, dest: str, **parameters: str) -> dict[str, Any]:
        """Transfer to a number, several, or `room:NAME`; must be accepted."""
        return await self.accepted("ivr/end/transfer", session=session, dest=dest, **parameters)

    async def play(self, session: str, msg: str, **parameters: str) -> None:
        """Ask for the play block, which must be accepted."""
        await self.accepted("ivr/middle/play", session=session, msg=msg, **parameters)

    async def monitor(self, session: str, **parameters: str) -> None:
        """Ask for the monitor block, which must be accepted."""
        await self.accepted("ivr/middle/monitor", session=session, **parameters)

    async def hold(self, session: str, **parameters: str) -> None:
        """Put the caller on hold, which must be accepted."""
        status = await self.block("ivr/middle/hold", session, **parameters)
        assert status == "success_ok", status

    async def unhold(self, session: str, **parameters: str) -> None:
        """Take the caller from hold, which must be accepted."""
        await self.accepted("ivr/middle/unhold", session=session, **parameters)

    async def hang_up(self, session: str, **parameters: str) -> None:
        """Ask for the hangup block, which must be accepted."""
        await self.accepted("ivr/end/hangup", session=session, **parameters)

    async def call(self, dest1: str, dest2: str, **parameters: str) -> str:
        """Connect two numbers; returns the `txn_ref`."""
        answer = await self.accepted("voice/call", dest1=dest1, dest2=dest2, **parameters)
        return str(answer["txn_ref"])

    async def conference(self, *dests: str, **parameters: str) -> list[str]:
        """Call numbers into a room; returns a `txn_ref` for each, in their order."""
        answer = await self.accepted("conference/call", dest=",".join(dests), **parameters)
        return [str(txn_ref) for txn_ref in answer["txn_refs"]]

    async def moderate(self, txn_ref: str, action: str) -> str:
        """`kick`, `mute` or `unmute` a participant; returns the status."""
        answer = await self.request("conference/moderate", txn_ref=txn_ref, action=action)
        return str(answer["status"])

    async def status_of(self, txn_ref: str) -> dict[str, Any]:
        """What `voice/query_status` says, which must know the call."""
        answer = await self.request("voice/query_status", txn_ref=txn_ref)
        assert answer["status"] == "success_ok", answer
        return answer

    async def settled(self, txn_ref: str) -> dict[str, Any]:
        """What `voice/query_status` says once the call is over, which must be soon."""
        async with asyncio.timeout(SETTLED_LIMIT_S):
            while True:
                facts = await self.status_of(txn_ref)
                if "debit" in facts:
                    return facts
                await asyncio.sleep(0.02)

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
            if not self.account_id:
                account = database.run_sync(
                    lambda c: manage_accounts.create_account(
                        c, name="Test", currency="SGD", credit=self._credit, now_us=now_us
                    )
                )
                self.account_id = account.id
            made, token = database.run_sync(
                lambda c: manage_accounts.create_application(
                    c, key, account_id=self.account_id, name="test", now_us=now_us
                )
            )
            database.run_sync(
                lambda c: manage_accounts.add_number(
                    c, number=self.number, app_id=made.id, notify_url=self.url(), now_us=now_us
                )
            )
        finally:
            database.close()
        self.app_id, self.access_token = made.id, token
