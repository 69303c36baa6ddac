"""Slots for requests: never more than there are, and everybody's turn comes."""

from __future__ import annotations

import asyncio

from voiceblocks.adapters.request_slots import RequestSlots
from voiceblocks.speech.asked_by import ASKED_BY


class Work:
    """Requests that end when they are told to."""

    def __init__(self, at_once: int) -> None:
        self.slots = RequestSlots(at_once)
        self.inside: list[str] = []
        self.begun: list[str] = []
        self.may_end: dict[str, asyncio.Event] = {}

    def start(self, name: str, account: str) -> asyncio.Task[None]:
        """A request of an account."""
        self.may_end[name] = asyncio.Event()

        async def request() -> None:
            ASKED_BY.set(account)
            async with self.slots:
                self.inside.append(name)
                self.begun.append(name)
                try:
                    await self.may_end[name].wait()
                finally:
                    self.inside.remove(name)

        return asyncio.create_task(request())

    async def end(self, name: str) -> None:
        """Let one end, and the next begin."""
        self.may_end[name].set()
        for _turn in range(4):
            await asyncio.sleep(0)


async def test_a_campaign_does_not_keep_others_waiting() -> None:
    """Of two slots none is used twice, and the other account comes second, not tenth."""
    work = Work(2)
    tasks = [work.start(f"a{number}", "A") for number in range(10)]
    await asyncio.sleep(0)
    tasks.append(work.start("b", "B"))
    await asyncio.sleep(0)
    assert work.inside == ["a0", "a1"]
    while work.inside:
        assert len(work.inside) <= 2
        await work.end(work.inside[0])
    await asyncio.gather(*tasks)
    assert work.begun.index("b") <= 3
    assert [name for name in work.begun if name != "b"] == [f"a{number}" for number in range(10)]


async def test_who_gives_up_leaves_the_slot_to_others() -> None:
    """Cancelled while waiting, or in the moment in which its turn came: no slot is lost."""
    work = Work(1)
    first, second, third = (work.start(name, "A") for name in ("1", "2", "3"))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    assert second.cancelled()
    # The turn is the third's when the first has ended, and it gives up before it notices.
    work.may_end["1"].set()
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.wait({first, third})
    assert third.cancelled()
    assert work.begun == ["1"]
    fourth = work.start("4", "A")
    await asyncio.sleep(0)
    assert work.inside == ["4"]
    await work.end("4")
    await fourth
