"""Gather on a clock that is moved by hand: what is typed when, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from voiceblocks.blocks.gather import GatherCommand
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.calls.events import EndReason
from voiceblocks.engine.digits import Digit, DigitInbox
from voiceblocks.engine.media.handles import Tap
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.gather import GatherRunner
from voiceblocks.engine.runners.interfaces import CallGone, Outcome
from voiceblocks.errors import ContractViolation
from voiceblocks.ids import SessionId
from voiceblocks.speech.interfaces import Clip

T = TypeVar("T")

PROMPT_S = 3.0
PROMPT = (Clip(Path("a.ulaw"), Path("a.alaw"), int(PROMPT_S * 1000)),)
SETTLED = 30
"Passes of the loop after which everything that can happen at one instant has happened."


class FakeCall:
    """A call whose time only `advance` moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.plays: list[tuple[float, float]] = []
        "When each prompt began and ended, or was stopped."
        self.digits = DigitInbox()
        self.gone_reason = EndReason.HANGUP
        self.gone_at = 0.0
        self._gone = asyncio.Event()
        self._alarms: list[tuple[float, asyncio.Future[None]]] = []

    async def play(self, clips: Sequence[Clip]) -> None:
        began = self.now
        try:
            if clips:
                await self.sleep(PROMPT_S)
        finally:
            self.plays.append((began, self.now))

    async def sleep(self, duration_s: float) -> None:
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._alarms.append((self.now + duration_s, alarm))
        await self.unless_gone(alarm)

    async def next_digit(self) -> Digit:
        return await self.digits.next()

    async def until_gone(self) -> None:
        await self._gone.wait()

    async def unless_gone(self, awaitable: Awaitable[T]) -> T:
        wanted = asyncio.ensure_future(awaitable)
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({wanted, gone}, return_when=asyncio.FIRST_COMPLETED)
            if wanted.done():
                return wanted.result()
            raise CallGone
        finally:
            wanted.cancel()
            gone.cancel()

    def record(self, name: str, *, limit_ms: int) -> Tap:
        raise AssertionError("nothing is recorded")

    # What the test does

    async def advance(self, seconds: float) -> None:
        """Let time pass, from alarm to alarm."""
        until = self.now + seconds
        await settle()
        while due := [alarm for alarm in self._alarms if alarm[0] <= until]:
            first = min(due, key=lambda alarm: alarm[0])
            self._alarms.remove(first)
            self.now = max(self.now, first[0])
            if not first[1].done():
                first[1].set_result(None)
                await settle()
        self.now = until

    async def press(self, keys: str) -> None:
        """Press keys at this instant."""
        for number, key in enumerate(keys):
            self.digits.put(Digit(key, self.now, timestamp=int(self.now * 8000) + number))
            await settle()

    def leave(self, reason: EndReason = EndReason.HANGUP) -> None:
        """The leg ends."""
        self.gone_reason, self.gone_at = reason, self.now
        self._gone.set()


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(SETTLED):
        await asyncio.sleep(0)


def a_plan(*, prompt: tuple[Clip, ...] = PROMPT, **parameters: int) -> BlockPlan:
    """A gather with these parameters."""
    command = GatherCommand(
        session=SessionId("S-1"),
        notify_url="https://a.example/h",
        timeout_s=parameters.pop("timeout_s", 10),
        **parameters,
    )
    return BlockPlan(session_id="S-1", run_id="run_1", command=command, prompt=prompt)


def started(call: FakeCall, plan: BlockPlan) -> asyncio.Task[Outcome]:
    """The runner at work."""
    return asyncio.get_running_loop().create_task(GatherRunner().run(call, plan))


# What the caller does: a number lets seconds pass, a text presses keys.
Script = list[float | str]


@pytest.mark.parametrize(
    ("parameters", "script", "digits", "reason", "over_at", "prompts"),
    [
        pytest.param(
            {}, [4, "12", 1, "3#"], "123", EndReason.FINISH_KEY, 5, [(0, 3)], id="finish key"
        ),
        pytest.param(
            {"max_digits": 4}, [4, "1*2A"], "1*2A", EndReason.COMPLETED, 4, [(0, 3)], id="maximum"
        ),
        pytest.param(
            {"max_digits": 2}, [4, "123#"], "12", EndReason.COMPLETED, 4, [(0, 3)], id="no more"
        ),
        pytest.param(
            {"max_digits": 4}, [4, "1#"], "1", EndReason.FINISH_KEY, 4, [(0, 3)], id="# before max"
        ),
        pytest.param(
            {"max_digits": 1}, [1, "7"], "7", EndReason.COMPLETED, 1, [(0, 1)], id="barge-in"
        ),
        pytest.param(
            {}, [1, "7", 9, "8", 10], "78", EndReason.TIMEOUT, 20, [(0, 1)], id="barge-in, timeout"
        ),
        pytest.param(
            {}, [1, "#"], "", EndReason.FINISH_KEY, 1, [(0, 1)], id="# alone in the prompt"
        ),
        pytest.param(
            {"attempts": 3}, [4, "#"], "", EndReason.FINISH_KEY, 4, [(0, 3)], id="# alone, attempts"
        ),
        pytest.param({}, [13], "", EndReason.TIMEOUT, 13, [(0, 3)], id="nothing"),
        pytest.param(
            {}, [12.9, "1", 10], "1", EndReason.TIMEOUT, 22.9, [(0, 3)], id="at the last moment"
        ),
        pytest.param(
            {}, [4, "1", 9.9, "2", 9.9, "3", 10], "123", EndReason.TIMEOUT, 33.8, [(0, 3)],
            id="each key restarts the clock",
        ),
        pytest.param(
            {"attempts": 3}, [39], "", EndReason.TIMEOUT, 39, [(0, 3), (13, 16), (26, 29)],
            id="three attempts, nothing",
        ),
        pytest.param(
            {"attempts": 2, "max_digits": 1}, [14, "5"], "5", EndReason.COMPLETED, 14,
            [(0, 3), (13, 14)], id="in the second prompt",
        ),
        pytest.param(
            {"attempts": 2}, [4, "1", 10], "1", EndReason.TIMEOUT, 14, [(0, 3)],
            id="partial digits are an answer",
        ),
        pytest.param(
            {"attempts": 2, "prompt": ()}, [20], "", EndReason.TIMEOUT, 20, [(0, 0), (10, 10)],
            id="without a prompt",
        ),
    ],
)  # fmt: skip
async def test_what_ends_an_entry(
    parameters: dict[str, int],
    script: Script,
    digits: str,
    reason: EndReason,
    over_at: float,
    prompts: list[tuple[float, float]],
) -> None:
    """Keys, limit and clock: the digits, why it ended, when, and what was played."""
    call = FakeCall()
    running = started(call, a_plan(**parameters))
    for step in script:
        assert not running.done(), f"over at {call.now} already"
        await (call.press(step) if isinstance(step, str) else call.advance(step))
    await settle()
    assert running.done()
    outcome = running.result()
    assert (outcome.digits, outcome.reason) == (digits, reason)
    assert call.now == pytest.approx(over_at)
    assert call.plays == [pytest.approx(prompt) for prompt in prompts]


async def test_unlimited_is_a_thousand() -> None:
    """A caller who never stops typing does not fill our memory or a URL."""
    call = FakeCall()
    running = started(call, a_plan())
    for number in range(1010):
        await call.press(str(number % 10))
    outcome = await running
    assert (len(outcome.digits), outcome.reason) == (1000, EndReason.COMPLETED)


@pytest.mark.parametrize("reason", [EndReason.HANGUP, EndReason.FORCED, EndReason.SERVER_RESTART])
@pytest.mark.parametrize(
    ("script", "digits"),
    [([1], ""), ([1, "5"], "5"), ([4, "12"], "12"), ([4, "12", 5], "12")],
)
async def test_who_leaves_leaves_what_was_typed(
    reason: EndReason, script: Script, digits: str
) -> None:
    """The call ends in the prompt or the entry: its reason, and the digits so far."""
    call = FakeCall()
    running = started(call, a_plan(attempts=3))
    for step in script:
        await (call.press(step) if isinstance(step, str) else call.advance(step))
    call.leave(reason)
    outcome = await running
    assert (outcome.digits, outcome.reason) == (digits, reason)


async def test_keys_of_the_last_moment_count() -> None:
    """Two keys and the hang-up come at once: nothing is lost."""
    call = FakeCall()
    running = started(call, a_plan())
    await call.advance(4)
    for key, timestamp in (("1", 1), ("2", 2)):
        call.digits.put(Digit(key, call.now, timestamp))
    call.leave()
    assert (await running).digits == "12"


async def test_nothing_is_left_running() -> None:
    """No task waits for a key after the block, so that the next block gets it."""
    call = FakeCall()
    before = asyncio.all_tasks()
    running = started(call, a_plan())
    await call.advance(13)
    await running
    await settle()
    assert asyncio.all_tasks() == before
    await call.press("4")
    assert (await call.next_digit()).key == "4"


async def test_other_plans_are_refused() -> None:
    """Each runner runs its own block."""
    plan = BlockPlan("S-1", "run_1", PlayCommand(session=SessionId("S-1")), prompt=())
    with pytest.raises(ContractViolation):
        await GatherRunner().run(FakeCall(), plan)


def test_an_outcome_does_not_show_its_digits() -> None:
    """Digits are personal data: no log line or traceback gets them by accident."""
    assert "1234" not in repr(Outcome(EndReason.COMPLETED, digits="1234"))
