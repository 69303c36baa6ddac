"""One child of the render pool, seen from the control loop: jobs in, answers out.

A dead child is replaced and its unfinished jobs are repeated. Where a job itself
kills or hangs the child, it must not do so for ever: a lane that was just replaced
hands out its jobs one at a time, so that the next death has a culprit, and a job
that was alone when a child died twice fails.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from voiceblocks import ipc
from voiceblocks.adapters.render.messages import (
    Encoded,
    Failed,
    FromChild,
    Job,
    Ready,
    Rendered,
    ToChild,
)
from voiceblocks.adapters.render.turns import Turns
from voiceblocks.errors import AdapterError, StartupError
from voiceblocks.log import get_logger
from voiceblocks.speech.asked_by import ASKED_BY

START_LIMIT_S = 60.0
_DEATHS_PER_JOB = 2
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0

_log = get_logger("render")

Answer = Encoded | Rendered


class JobFailedError(AdapterError):
    """The child says that this job cannot be done, or it dies or hangs of it."""

    no_sound = False
    "Whether it was a text with nothing to say."


@dataclass(slots=True)
class _Pending:
    message: Job
    future: asyncio.Future[Answer]
    limit_s: float | None
    deaths: int = 0


class Lane:
    """
    A child process with a role. Belongs to one asyncio loop.

    Jobs of different accounts (`ASKED_BY`) have their turns: who asks for one prompt waits for one
    of each other account, not for all five hundred of a campaign.

    Args:
        role: See `process`.
        folder: The role's folder.
        arguments: More of the role's, see `process`.
        at_once: How many jobs the child may have at a time.
        told_at_start: What a new child must know before its first job, asked at each
            (re)start; `deaths` are those since the last answer.
    """

    def __init__(
        self,
        role: str,
        folder: Path,
        *,
        arguments: Sequence[str] = (),
        at_once: int = 1,
        told_at_start: Callable[[int], Iterable[ToChild]] = lambda deaths: (),
    ) -> None:
        self.role = role
        self.ready = Ready()
        "What the newest child said of itself."
        self._folder = folder
        self._arguments = tuple(arguments)
        self._at_once = at_once
        self._told_at_start = told_at_start
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: ipc.AsyncChannel[FromChild] | None = None
        self._serving: asyncio.Future[None] | None = None
        self._waiting: Turns[_Pending] = Turns()
        self._sent: dict[int, _Pending] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._restart: asyncio.TimerHandle | None = None
        self._reaping: set[asyncio.Task[int]] = set()
        self._deaths = 0
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """Of the child; `None` between two children."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """
        Start the child and wait until it serves.

        Raises:
            StartupError: If it does not within a minute.
        """
        self._serving = asyncio.get_running_loop().create_future()
        self._spawn()
        try:
            await asyncio.wait_for(self._serving, START_LIMIT_S)
        except TimeoutError as error:
            raise StartupError(f"the render process for {self.role} does not start") from error

    async def stop(self) -> None:
        """End the child; unfinished jobs fail."""
        self._stopped = True
        if self._restart is not None:
            self._restart.cancel()
        self._end_child()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for pending in (*self._sent.values(), *self._waiting):
            _fail(pending, "the render pool stops")
        self._sent.clear()
        self._waiting.clear()
        await asyncio.gather(*self._reaping)

    def submit(self, message: Job, limit_s: float | None = None) -> asyncio.Future[Answer]:
        """
        Have a job done.

        Args:
            message: With a job number that this lane never had.
            limit_s: Time from being sent to the answer; longer counts as a hang.

        Returns:
            A future of the lane's: wait for it, never cancel it. Fails with `JobFailedError` only.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        # Whoever asked may have gone; nobody needs to hear of the failure then.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        pending = _Pending(message, future, limit_s)
        if self._stopped:
            _fail(pending, "the render pool stops")
        else:
            self._waiting.append(ASKED_BY.get(), pending)
            self._send_waiting()
        return future

    def tell(self, message: ToChild) -> None:
        """Send something that is not answered; lost if there is no child right now."""
        if self._channel is not None:
            self._channel.send(message)

    def drop(self, job: int, reason: str) -> None:
        """Fail a job that the child was told to forget."""
        pending = self._take_sent(job)
        if pending is None:
            pending = next((p for p in self._waiting if p.message.job == job), None)
            if pending is not None:
                self._waiting.remove(pending)
        if pending is not None:
            _fail(pending, reason)
        self._send_waiting()

    def _spawn(self) -> None:
        self._restart = None
        try:
            self._process, sock = ipc.spawn(
                "voiceblocks.adapters.render.process",
                self.role,
                str(self._folder),
                *self._arguments,
            )
        except OSError as error:
            # No process, memory or descriptor left just now.
            _log.error("render_child_not_started", role=self.role, reason=str(error))
            self._on_closed()
            return
        self._channel = ipc.AsyncChannel(sock, FromChild, self._on_message, self._on_closed)
        for message in self._told_at_start(self._deaths):
            self._channel.send(message)
        self._send_waiting()

    def _send_waiting(self) -> None:
        # After a death, one at a time: see the module's docstring.
        at_once = 1 if self._deaths else self._at_once
        while self._channel is not None and self._waiting and len(self._sent) < at_once:
            pending = self._waiting.pop()
            job = pending.message.job
            self._sent[job] = pending
            if pending.limit_s is not None:
                loop = asyncio.get_running_loop()
                self._timers[job] = loop.call_later(pending.limit_s, self._on_hang, job)
            self._channel.send(pending.message)

    def _take_sent(self, job: int) -> _Pending | None:
        timer = self._timers.pop(job, None)
        if timer is not None:
            timer.cancel()
        return self._sent.pop(job, None)

    def _on_message(self, message: FromChild, _fds: list[int]) -> None:
        if isinstance(message, Ready):
            self.ready = message
            if self._serving is not None and not self._serving.done():
                self._serving.set_result(None)
            return
        self._deaths = 0
        pending = self._take_sent(message.job)
        if pending is not None:
            if isinstance(message, Failed):
                _fail(pending, message.reason, no_sound=message.no_sound)
            elif not pending.future.done():
                pending.future.set_result(message)
        self._send_waiting()

    def _on_hang(self, job: int) -> None:
        pending = self._take_sent(job)
        if pending is not None:
            _log.warning("render_job_hangs", role=self.role)
            _fail(pending, "took too long")
            self._end_child()
            self._on_closed()

    def _on_closed(self) -> None:
        self._end_child()
        if self._stopped:
            return
        self._deaths += 1
        _log.warning("render_child_died", role=self.role, deaths=self._deaths)
        suspects = list(self._sent.values())
        for pending in suspects:
            self._take_sent(pending.message.job)
            if len(suspects) == 1:
                pending.deaths += 1
                if pending.deaths >= _DEATHS_PER_JOB:
                    _fail(pending, "the render process died of it")
        # In their order, before what came later.
        self._waiting.put_back(p for p in suspects if not p.future.done())
        pause_s = min(_FIRST_PAUSE_S * 2 ** (self._deaths - 1), _LONGEST_PAUSE_S)
        self._restart = asyncio.get_running_loop().call_later(pause_s, self._spawn)

    def _end_child(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            # It dies at once, but "at once" may be long for a loop that carries calls.
            task = asyncio.ensure_future(asyncio.to_thread(process.wait))
            self._reaping.add(task)
            task.add_done_callback(self._reaping.discard)


def _fail(pending: _Pending, reason: str, *, no_sound: bool = False) -> None:
    if not pending.future.done():
        error = JobFailedError(reason)
        error.no_sound = no_sound
        pending.future.set_exception(error)
