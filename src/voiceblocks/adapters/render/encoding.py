"""The `encode` role: spools in, MP3s out."""

from __future__ import annotations

import time
from pathlib import Path

from voiceblocks import ipc
from voiceblocks.adapters.render.following import Following, Schedule
from voiceblocks.adapters.render.messages import (
    Abandon,
    Encoded,
    Failed,
    Finish,
    Follow,
    Ready,
    ToChild,
)
from voiceblocks.adapters.render.waiting import readable


class EncodeLoop:
    """
    Serves one channel until the other end closes.

    Args:
        channel: To the control process.
        work_dir: Where MP3s go; part files of a predecessor are deleted.
    """

    def __init__(self, channel: ipc.Channel[ToChild], work_dir: Path) -> None:
        self._channel = channel
        self._work_dir = work_dir
        self._schedule = Schedule()
        self._recordings: dict[str, Following] = {}
        self._jobs: dict[str, int] = {}
        work_dir.mkdir(parents=True, exist_ok=True)
        for leftover in work_dir.glob("*.part"):
            leftover.unlink(missing_ok=True)

    def run(self) -> None:
        """Work off slices, looking for messages between any two of them."""
        self._channel.send(Ready())
        while True:
            due = self.next_due()
            wait_s = None if due is None else max(0.0, due - time.monotonic())
            while readable(self._channel, wait_s):
                received = self._channel.receive()
                if received is None:
                    return
                self.take(received[0], time.monotonic())
                wait_s = 0.0
            self.step(time.monotonic())

    def next_due(self) -> float | None:
        """When there is something to do (0.0: now), or `None`."""
        return self._schedule.next_due()

    def take(self, message: ToChild, now: float) -> None:
        """Take a message of the control process."""
        if isinstance(message, Follow):
            if message.name not in self._recordings:
                self._open(message)
                self._schedule.follow(message.name, now)
        elif isinstance(message, Finish):
            recording = self._recordings.get(message.name) or self._open(message)
            self._jobs[message.name] = message.job
            recording.end_at(message.n_samples, message.finish_key)
            self._schedule.finish(message.name, recording)
        elif isinstance(message, Abandon):
            self._forget(message.name)

    def _open(self, message: Follow | Finish) -> Following:
        heard_path = None if message.heard_path is None else Path(message.heard_path)
        target = self._work_dir / f"{message.name}.{message.shape.format}"
        recording = Following(Path(message.spool_path), target, heard_path, message.shape)
        self._recordings[message.name] = recording
        return recording

    def _forget(self, name: str) -> None:
        self._schedule.forget(name)
        self._jobs.pop(name, None)
        recording = self._recordings.pop(name, None)
        if recording is not None:
            recording.discard()
            recording.close()

    def step(self, now: float) -> None:
        """Work off one slice, if one is due."""
        name = self._schedule.next_finish(now)
        if name is not None:
            self._step_finish(name)
            return
        name = self._schedule.next_follow(now)
        if name is not None:
            self._step_follow(name, now)

    def _step_finish(self, name: str) -> None:
        job = self._jobs[name]
        try:
            finished = self._recordings[name].finish_step()
        except Exception as error:  # noqa: BLE001 - whatever a damaged spool provokes is its own
            self._forget(name)
            self._channel.send(Failed(job=job, reason=f"{type(error).__name__}: {error}"))
            return
        if finished is not None:
            self._forget(name)
            self._channel.send(
                Encoded(
                    job=job,
                    path=str(finished.path),
                    size_bytes=finished.size_bytes,
                    sha256=finished.sha256,
                    n_samples=finished.n_samples,
                    health=finished.health,
                )
            )

    def _step_follow(self, name: str, now: float) -> None:
        try:
            behind = self._recordings[name].follow_step()
        except Exception:  # noqa: BLE001 - `finish` will meet the same and report it
            self._forget(name)
            return
        if behind:
            self._schedule.again(name, now)
