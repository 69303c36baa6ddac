"""What the recordings' stores have still to do is done, however long a store is away.

A remote store gets each recording after it is ready, and erases each that was deleted. A task
that fails is tried again after a pause that grows to an hour, for ever and also after a
restart; its recording is served from local disk meanwhile. While everything fails the store is
taken to be away: one task at a time finds out whether it is back, and then all are due.

```
ready   --commit--> UPLOAD --read back and right--> uploaded, local copy deleted
deleted --commit--> ERASE  --gone-->                nothing left
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from voiceblocks.clock import Clock
from voiceblocks.database import recordings, store_tasks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import StoreError
from voiceblocks.log import get_logger
from voiceblocks.recordings.interfaces import RecordingCopies
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import RecordingState
from voiceblocks.recordings.store_task import StoreTask, StoreTaskKind, pause_s
from voiceblocks.workflows.delete_recording import EraseRecording
from voiceblocks.workflows.leave_store_task import leave_task

_log = get_logger("recordings")

PERIOD_S: Final = 2.0
"Between two looks at the table while there is nothing to do."
AT_ONCE: Final = 4
"Tasks at a time; each holds one connection to the store."
LONGEST_SILENCE_S: Final = 300.0
"Between two attempts to find a store that is away."
_ERROR_MAX = 500
_ALWAYS_US: Final = 2**62


class SettleStores:
    """
    Carries out the tasks of one node.

    Args:
        database: Knows them.
        node: Whose.
        store: Local disk, and the remote store if there is one.
        erase: Deletes all audio of a recording.
        clock: For when a task is due.
    """

    def __init__(
        self,
        *,
        database: Database,
        node: str,
        store: RecordingCopies,
        erase: EraseRecording,
        clock: Clock,
    ) -> None:
        self._database = database
        self._node = node
        self._store = store
        self._erase = erase
        self._clock = clock
        self._n_silent = 0
        self._waiting: dict[StoreTaskKind, int] = {}

    def n_waiting(self, kind: StoreTaskKind) -> float:
        """How many tasks of a kind were not done at the last look; for metrics."""
        return float(self._waiting.get(kind, 0))

    async def run(self) -> None:
        """Go on for ever; cancel it to stop, and whatever was not done is done later."""
        await self._tidy_up()
        while True:
            pause = PERIOD_S
            try:
                pause = await self.once()
            except Exception:  # noqa: BLE001 (a lost database: the next round may do)
                _log.exception("stores_not_settled")
            await asyncio.sleep(pause)

    async def once(self) -> float:
        """Try what is due; returns the seconds until it is worth trying again."""
        due = await self._database.run(self._look)
        if not due:
            return PERIOD_S
        done = await asyncio.gather(*(self._carry_out(task) for task in due))
        if not any(done):
            self._n_silent += 1
            return min(pause_s(self._n_silent), LONGEST_SILENCE_S)
        if self._n_silent:
            self._n_silent = 0
            await self._write(store_tasks.make_due, self._node, self._clock.utc_us())
        return 0.0

    def _look(self, connection: Connection) -> list[StoreTask]:
        self._waiting = store_tasks.count(connection, self._node)
        if self._n_silent:
            # Whether the store is back is found out by this one's pause, not by the tasks' own.
            return store_tasks.list_due(connection, self._node, _ALWAYS_US, 1)
        return store_tasks.list_due(connection, self._node, self._clock.utc_us(), AT_ONCE)

    async def _carry_out(self, task: StoreTask) -> bool:
        recording = await self._database.read(
            lambda connection: recordings.find(connection, task.recording_id)
        )
        if recording is None:
            await self._write(store_tasks.delete, task)
            return True
        try:
            if task.kind is StoreTaskKind.UPLOAD:
                await self._upload(task, recording)
            else:
                await self._erase(recording)
                await self._write(store_tasks.delete, task)
                _log.info("recording_erased", name=recording.id)
        except (StoreError, OSError) as error:
            await self._postpone(task, error)
            return False
        return True

    async def _upload(self, task: StoreTask, recording: Recording) -> None:
        await self._store.upload(recording.object_name, recording.sha256 or "")
        is_wanted = await self._database.run(
            lambda connection: _note_uploaded(connection, task, self._clock.utc_us())
        )
        if is_wanted:
            await self._store.forget_local(recording.object_name)
            _log.info("recording_uploaded", name=recording.id, failures=task.attempt_count)

    async def _postpone(self, task: StoreTask, error: Exception) -> None:
        # The cause says what a StoreError's own text only names.
        said = str(error.__cause__ or error).partition("\n")[0][:_ERROR_MAX]
        n_failures = task.attempt_count + 1
        until_us = self._clock.utc_us() + round(pause_s(n_failures) * 1e6)
        await self._write(store_tasks.postpone, task, until_us, said)
        _log.warning(
            "store_task_tried_again",
            task=task.kind.value,
            name=task.recording_id,
            failures=n_failures,
            error=str(error),
        )

    async def _write(self, fn: Callable[..., None], *arguments: object) -> None:
        await self._database.run(lambda connection: fn(connection, *arguments))

    async def _tidy_up(self) -> None:
        """Delete the local copies of what was uploaded just before a process died."""
        try:
            for name in await self._store.local_names():
                await self._tidy_up_one(name)
        except Exception:  # noqa: BLE001 (they cost some room until the next start, no more)
            _log.exception("uploaded_copies_not_tidied_up")

    async def _tidy_up_one(self, name: str) -> None:
        recording = await self._database.read(
            lambda connection: recordings.find_by_object_name(connection, name)
        )
        if recording is not None and recording.uploaded_us is not None:
            await self._store.forget_local(name)


def _note_uploaded(connection: Connection, task: StoreTask, now_us: int) -> bool:
    """Whether the upload counts: what was deleted meanwhile is to be erased there, too."""
    recording = recordings.find_for_update(connection, task.recording_id)
    if recording is None or recording.state is not RecordingState.READY:
        if recording is not None:
            leave_task(connection, recording, StoreTaskKind.ERASE, now_us)
        return False
    store_tasks.delete(connection, task)
    recordings.update(connection, recording.id, uploaded_us=now_us)
    return True
