"""Rounds of callers whose server is killed again and again, at random moments.

In a round each caller comes to its beep and says what no other says. Some go on
until the server dies, some press the finishing key, some hang up, each at a moment of its own.
Meanwhile keeper and encoder are killed, again and again, which must not be heard; then the media
worker, the control process or everything; and once or twice more while the next process recovers.
So kills meet recordings that run, that are being finished, and that are being told of.

```
callers            server                                  application
  |== speech ========>|    kill -9 keeper, encoder, keeper …    |
  |-- # or BYE ------>|    (some of them)                       |
  |                kill -9 worker | server | all
  |                restart … kill -9 … restart
  |<-- BYE -----------|-- record (success), one for each ------>|
```
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tests.crash import facts
from tests.crash.victims import room_for_calls
from tests.functional.calls import SAMPLES_PER_MS, decode, recording
from tests.harness import Application, ServerProcess
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.state import SessionState
from voiceblocks.testing.phone import Phone, PhoneCall

LONGEST_S = 1.6
"From the beep to the kill, and to what a caller does of its own."
RECOVERS_S = 0.5
"After the next process says that it is ready; by then it finishes what was left."
WRITERS_DIE = (1, 4)
RECOVERIES_DIE = (0, 2)
"How often in a round, at least and at most."
LOST_AT_MOST_MS = 100
"The packet in flight, and what a noisy machine had not placed yet."
MORE_AT_MOST_MS = 200
"After the key or the hang-up: until the server has seen it."
SPEAKS_S = 5
CREDIT_MILLS = 10_000_000
ENDS = {"talk": {"server_restart"}, "press": {"finish_key"}, "leave": {"hangup"}}
"What a caller does -> `record_end`; each may be `server_restart`."

_BAND_HZ = (400.0, 2400.0)
_RMS = 3000.0
_LEAST_MS = 150
_STARTS_MS = (-400, 800)
"""Where in a recording the speech may begin: our phones, twenty in one process, speak some
milliseconds after the beep, or say late what should have gone while it still sounded."""
_WINDOW_MS = 50
_TAIL_MS = 60
"Of an MP3 that was cut off, and of a key's removal."
_ALIKE = 0.7
"Correlation of a window with what was said there; G.711 and MP3 leave more than 0.9."


@dataclass
class Talk:
    """One caller of one round."""

    app: Application
    call: PhoneCall
    session: str
    said: NDArray[np.int16]
    began: int
    "RTP timestamp of its first sample."
    habit: str
    ended_at: float = float("inf")
    "When it pressed or left, monotonic seconds."
    told_twice: bool = False
    "First of its recording, later of its end."

    def said_ms(self, until: float) -> float:
        """How much of it had left the phone then."""
        last = max((p.timestamp for p in self.call.media.sent if p.at <= until), default=None)
        if last is None:
            return 0.0
        offset = (last - self.began + 2**31) % 2**32 - 2**31
        return max(0.0, offset / SAMPLES_PER_MS + 20)

    async def act(self, after_s: float) -> None:
        """Do what it does when it is time."""
        await asyncio.sleep(after_s)  # the instant is the test
        if self.habit == "press":
            self.ended_at = await self.call.media.press("#")
        elif self.habit == "leave" and self.call.is_up:
            self.ended_at = time.monotonic()
            self.call.hang_up()


@dataclass
class Crowd:
    """
    Callers, each with an application of its own, who come again for each round.

    Use it as an async context manager.

    Args:
        server: Killed and started again; its ports must be given, see `facts.free_address`.
        n_callers: At a time.
    """

    server: ServerProcess
    n_callers: int
    kills: Counter[str] = field(default_factory=Counter)
    lost_ms: list[float] = field(default_factory=list)
    "Of each recording: what was said before its end and is not there."

    async def __aenter__(self) -> Self:
        """Make applications and phones."""
        self._opened = contextlib.AsyncExitStack()
        enter = self._opened.enter_async_context
        credit = f"{CREDIT_MILLS // 1000}.00"
        self._apps = [
            await enter(Application(self.server, credit=credit)) for _ in range(self.n_callers)
        ]
        self._phones = [await enter(Phone()) for _ in range(self.n_callers)]
        self._speeches = [speech(n) for n in range(self.n_callers)]
        self._spent = dict.fromkeys((app.app_id for app in self._apps), 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        await self._opened.aclose()

    async def round(self, chance: Random) -> None:
        """
        Let everybody speak, kill, and look at everything that is left.

        Raises:
            AssertionError, TimeoutError: If something was lost, doubled or changed.
        """
        await room_for_calls(self._apps[0])
        for app in self._apps:
            app.sink.received.clear()
        people = enumerate(zip(self._apps, self._phones, strict=True))
        talks = await asyncio.gather(
            *(self._speak(app, phone, n, chance) for n, (app, phone) in people)
        )
        acts = [asyncio.create_task(one.act(chance.uniform(0.1, LONGEST_S))) for one in talks]
        killed_at = await self._kill_some(chance)
        for act in acts:
            act.cancel()
        await asyncio.gather(*acts, return_exceptions=True)
        await asyncio.gather(*(self._is_right(one, killed_at) for one in talks))
        await self._books_are_right(talks)

    async def _speak(self, app: Application, phone: Phone, n: int, chance: Random) -> Talk:
        habit = chance.choices(list(ENDS), [3, 1, 1])[0]
        call, session = await recording(app, phone)
        said = self._speeches[n]
        return Talk(app, call, session, said, await call.media.utter(said), habit)

    async def _kill_some(self, chance: Random) -> float:
        """Return when the calls died, monotonic seconds."""
        target = chance.choice(("all", "server", "worker"))
        left_s = chance.uniform(0.2, LONGEST_S)
        for _ in range(chance.randint(*WRITERS_DIE)):
            wait_s = chance.uniform(0, left_s)
            left_s -= wait_s
            await asyncio.sleep(wait_s)  # likewise: a kill at any moment
            self._kill(chance.choice(("keeper", "encoder")))
        await asyncio.sleep(left_s)  # likewise
        killed_at = await self._kill_and_restart(target)
        if target != "worker":
            for _ in range(chance.randint(*RECOVERIES_DIE)):
                await asyncio.sleep(chance.uniform(0, RECOVERS_S))  # somewhere in the recovery
                await self._kill_and_restart(target)
        return killed_at

    def _kill(self, writer: str) -> None:
        """Kill it, unless the one that was killed before has no successor yet."""
        found = (
            facts.encode_children(self.server)
            if writer == "encoder"
            else self.server.pids().get("keeper", [])
        )
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                facts.kill(pid)
                self.kills[writer] += 1

    async def _kill_and_restart(self, target: str) -> float:
        pids = self.server.pids()
        self.kills[target] += 1
        killed_at = time.monotonic()
        if target == "all":
            self.server.kill_all()
            await self.server.gone()
            everybody = [pid for found in pids.values() for pid in found]
            await facts.until(lambda: not any(facts.is_alive(pid) for pid in everybody))
            await self.server.start()
        else:
            facts.kill(pids[target][0])
            if target == "server":
                await self.server.next_ready_line()
        return killed_at

    async def _is_right(self, one: Talk, killed_at: float) -> None:
        """Told once, in order, with everything that was said."""
        told = await one.app.told(ivr_block="record", session=one.session)
        who = f"{one.habit}, session {one.session}"
        assert told.body["record_status"] == "success", who
        assert told.body["record_end"] in ENDS[one.habit] | {"server_restart"}, who
        assert told.verify_signature(one.app.access_token), who
        one.told_twice = told.body["call_state"] == "ongoing"
        if one.told_twice:
            await one.app.told(ivr_block="record", session=one.session, call_state="ended")
        async with asyncio.timeout(10):
            await one.call.ended()
        # As any phone does after BYE: its old RTP port may be another call's in the new process.
        await one.call.media.stop()
        samples = decode(await one.app.fetch(told.body["record_url"]))
        said_ms = one.said_ms(min(one.ended_at, killed_at))
        kept_ms, complaint = compare(samples, one.said)
        assert not complaint, f"{who}: {complaint}"
        self.lost_ms.append(said_ms - kept_ms)
        assert -MORE_AT_MOST_MS <= said_ms - kept_ms <= LOST_AT_MOST_MS, (
            f"{who}: said {said_ms:.0f} ms, kept {kept_ms:.0f} ms"
        )

    async def _books_are_right(self, talks: list[Talk]) -> None:
        """One recording, one notification of it and one charge for each call; no leavings."""
        read = [one.session for one in talks]
        found = await facts.in_database(
            self.server, lambda c: [facts.read_facts(c, session) for session in read]
        )
        for one, books in zip(talks, found, strict=True):
            assert books.session.state is SessionState.ENDED
            assert books.unfinished_runs == 0
            assert [r.state for r in books.recordings] == [RecordingState.READY]
            assert [int(charge.amount) for charge in books.charges] == [books.session.debit]
            self._spent[one.app.app_id] += books.session.debit
            assert books.credit == CREDIT_MILLS - self._spent[one.app.app_id]
            told = {n.event_id for n in one.app.sink.received if "record_status" in n.body}
            assert len(told) == 1
            assert len(books.told_of("record")) == (2 if one.told_twice else 1)
        await facts.nothing_is_left_in_the_folders(self.server)


def speech(seed: int) -> NDArray[np.int16]:
    """Noise in the band of a voice, another for each seed: each piece has one place in it."""
    n_samples = SPEAKS_S * 1000 * SAMPLES_PER_MS
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n_samples))
    hz = np.fft.rfftfreq(n_samples, 1 / (1000 * SAMPLES_PER_MS))
    spectrum[(hz < _BAND_HZ[0]) | (hz > _BAND_HZ[1])] = 0
    noise = np.fft.irfft(spectrum, n_samples)
    return np.clip(noise / noise.std() * _RMS, -32000, 32000).astype(np.int16)


def compare(samples: NDArray[np.int16], said: NDArray[np.int16]) -> tuple[float, str]:
    """
    Lay a recording upon what was said into it, sample by sample.

    Returns:
        Which millisecond of the speech is the last in the recording, and a complaint or nothing.
        What is too short to find its place is taken to begin with the speech.
    """
    heard, spoken = samples.astype(np.float64), said.astype(np.float64)
    n_heard = len(heard)
    if n_heard < _LEAST_MS * SAMPLES_PER_MS:
        return n_heard / SAMPLES_PER_MS, ""
    size = n_heard + len(spoken)
    alike = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(spoken, size)), size)
    early, late = (limit_ms * SAMPLES_PER_MS for limit_ms in _STARTS_MS)
    starts = int(np.argmax(np.concatenate([alike[early:], alike[:late]]))) + early
    kept_ms = (n_heard - starts) / SAMPLES_PER_MS
    window = _WINDOW_MS * SAMPLES_PER_MS
    for at in range(max(0, starts), n_heard - window - _TAIL_MS * SAMPLES_PER_MS, window):
        ours, theirs = heard[at : at + window], spoken[at - starts : at - starts + window]
        same = ours @ theirs / (np.linalg.norm(ours) * np.linalg.norm(theirs) + 1)
        if same < _ALIKE:
            return kept_ms, (
                f"at {at / SAMPLES_PER_MS:.0f} of {n_heard / SAMPLES_PER_MS:.0f} ms the recording "
                f"is not what was said: correlation {same:.2f}"
            )
    return kept_ms, ""
