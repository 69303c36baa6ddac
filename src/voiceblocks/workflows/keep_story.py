"""What happens in calls, kept in memory for a second and then written, a few calls at a time.

Nothing that happens in a call waits for its story. What is not written when the process dies is
lost: SIP messages, counters and requests of about the last second; facts with tables of their own
(blocks, recordings, notifications, charges) are not (decision 53).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from sqlalchemy.exc import IntegrityError

from voiceblocks.clock import Clock
from voiceblocks.database import stories
from voiceblocks.database.stories import Owner
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger
from voiceblocks.stories.log import StoryLog
from voiceblocks.stories.model import AnyEvent, ApiRequest, PromptMade
from voiceblocks.stories.packing import pack

_log = get_logger("story")

PAUSE_S: Final = 1.0
QUIET_US: Final = 60_000_000
"A call of which nothing came for so long is forgotten here; more may come all the same."
CALLS_AT_ONCE: Final = 16
"Written in one transaction, which others wait for."
MOST_REQUESTS: Final = 20_000
"That wait to be written."
MOST_STRANGERS: Final = 500
"Calls that are looked up in a second."
MOST_OWNERS: Final = 10_000
MESSAGES_AT_ONCE: Final = 200
"Looked at before others have their turn on the loop."


class MessageLog(Protocol):
    """`engine.sip_log.SipLog`: SIP messages that nobody has looked at yet."""

    def look(self, most: int) -> bool:
        """Note some; says whether there are more."""
        ...

    def look_again(self) -> None:
        """Note what belongs to a call that is known only now."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    app_id: str
    calls: tuple[str, ...]
    request: ApiRequest


@dataclass(frozen=True, slots=True)
class _Batch:
    session_id: str
    taken: list[AnyEvent]
    packed: bytes


class KeepStory:
    """
    Fulfils `stories.interfaces.StoryKeeper` and `RequestListener`.

    Args:
        database: The node's database.
        clock: UTC.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._logs: dict[str, StoryLog] = {}
        self._asked: deque[_Asked] = deque(maxlen=MOST_REQUESTS)
        self._owners: dict[str, Owner] = {}
        self._is_failing = False
        self.messages: MessageLog | None = None
        "Looked at before each writing."

    def note(self, session_id: str, event: AnyEvent) -> None:
        """See `StoryKeeper`."""
        log = self._logs.get(session_id)
        if log is None:
            log = self._logs[session_id] = StoryLog()
        log.add(event, self._clock.utc_us())

    def note_request(
        self,
        app_id: str,
        calls: Sequence[str],
        *,
        api: str,
        status: str,
        duration_s: float,
        prompts: Sequence[PromptMade],
    ) -> None:
        """See `RequestListener`."""
        came_us = self._clock.utc_us() - round(duration_s * 1e6)
        request = ApiRequest(came_us, api, status, round(duration_s * 1000, 1), list(prompts))
        self._asked.append(_Asked(app_id, tuple(calls), request))

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_S)
            await self.write()

    async def close(self) -> None:
        """Write all that is left; for the end of the node, after its calls'."""
        await self.write()
        await self._write_logs(lambda _log: True)

    async def write(self) -> None:
        """Write what has happened; what cannot be written is tried again the next time."""
        try:
            if self.messages is not None:
                self.messages.look_again()
                while self.messages.look(MESSAGES_AT_ONCE):  # noqa: ASYNC110 (a turn)
                    await asyncio.sleep(0)
            await self._note_asked()
            before_us = self._clock.utc_us() - QUIET_US
            await self._write_logs(lambda log: log.touched_us < before_us)
            self._is_failing = False
        except Exception:  # noqa: BLE001 (a story is no reason to end a call)
            # Once, however long the database is away.
            if not self._is_failing:
                _log.exception("story_not_written")
            self._is_failing = True

    async def _note_asked(self) -> None:
        """Give requests to the calls of their own applications."""
        asked = list(self._asked)
        if not asked:
            return
        unknown = dict.fromkeys(
            call for one in asked for call in one.calls if call not in self._owners
        )
        if unknown:
            wanted = list(islice(unknown, MOST_STRANGERS))
            found = await self._database.run(lambda c: stories.owners(c, wanted))
            if len(self._owners) > MOST_OWNERS:
                self._owners.clear()
            self._owners |= found
        for one in asked:
            # What came while others were looked up has its turn the next time.
            self._asked.popleft()
            owners = {self._owners.get(call) for call in one.calls}
            for owner in owners:
                if owner is not None and owner.app_id == one.app_id:
                    self.note(owner.session_id, one.request)

    async def _write_logs(self, is_over: Callable[[StoryLog], bool]) -> None:
        for session_id, log in list(self._logs.items()):
            if is_over(log):
                log.close()
                if not log.pending:
                    del self._logs[session_id]
        waiting = [(session_id, log) for session_id, log in self._logs.items() if log.pending]
        for start in range(0, len(waiting), CALLS_AT_ONCE):
            await self._write_some(waiting[start : start + CALLS_AT_ONCE])

    async def _write_some(self, some: Sequence[tuple[str, StoryLog]]) -> None:
        await self._count_stored([one for one in some if one[1].n_stored is None])
        taken = [(session_id, log, events) for session_id, log in some if (events := log.take())]
        now_us = self._clock.utc_us()
        try:
            batches = await asyncio.to_thread(
                lambda: [
                    _Batch(session_id, events, pack(events)) for session_id, _, events in taken
                ]
            )
            stored = await self._database.run(
                lambda connection: [
                    stories.append(
                        connection,
                        one.session_id,
                        events=one.packed,
                        n_events=len(one.taken),
                        now_us=now_us,
                    )
                    for one in batches
                ]
            )
        except IntegrityError:
            # A call that the database does not have, as after it was put back to an older state.
            if len(taken) == 1:
                _log.warning("story_of_no_call", session=taken[0][0])
                return
            for _, log, events in taken:
                log.put_back(events)
            for session_id, log, _ in taken:
                await self._write_some([(session_id, log)])
            return
        except BaseException:
            for _, log, events in taken:
                log.put_back(events)
            raise
        for (_, log, _events), n_stored in zip(taken, stored, strict=True):
            log.n_stored = n_stored

    async def _count_stored(self, new: Sequence[tuple[str, StoryLog]]) -> None:
        if new:
            counts = await self._database.run(
                lambda connection: [stories.count(connection, session_id) for session_id, _ in new]
            )
            for (_, log), n_stored in zip(new, counts, strict=True):
                log.set_stored(n_stored)
