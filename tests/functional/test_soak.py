"""Three hundred short calls of every fate, fifteen a second: each is told and billed, none stays.

```
phones           server                     application
  |-- INVITE ----->|                             |   by UDP or TCP
  |<--- 100, 180 --|-- answer (ringing) -------->|
  |                |<------- the fate's block ---|   or none
  |-- the fate --->|-- its notification -------->|
```
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy

from tests.functional.bad_input.aftermath import assert_no_fault
from tests.harness import Application, ServerProcess
from voiceblocks.database.schema import charges, notifications, recordings, sessions
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall
from voiceblocks.testing.webhook_sink import ReceivedNotification

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

CALLS = 300
WARM_UP_CALLS = 50
CALLS_PER_S = 15
CALL_LIMIT_S = 30.0
SETTLED_LIMIT_S = 45.0
"A transaction is remembered for 64*T1 = 32 s after the last message of a call."

NEW_FILES = 4
NEW_THREADS = 6
"""Beyond the level after the first calls: helpers that are started when first needed. asyncio's
own pool has six on two cores."""
NEW_MEMORY_BYTES = 40 << 20

LONG = "This is a rather long prompt, so that there is time enough to hang up while it is spoken."


class Soak:
    """
    The application and the callers; a call's fate stands in its caller's number.

    Args:
        app: Whose number is called.
        phone: Who calls.
    """

    def __init__(self, app: Application, phone: Phone) -> None:
        self._app = app
        self._phone = phone
        self._sessions: defaultdict[str, asyncio.Future[str]] = defaultdict(
            asyncio.get_running_loop().create_future
        )
        self.accepted: dict[str, str] = {}
        "Blocks that were accepted with a notify_url: tag to block."
        self.refused: list[str] = []
        app.sink.on_notification = self._on_notification

    # The application

    async def _on_notification(self, told: ReceivedNotification) -> None:
        caller, session = told.body["from"], told.body["session"]
        fate = FATES[int(caller[4])]
        if told.body["call_state"] == "ended":
            return
        if told.body["ivr_block"] == "answer":
            self._sessions[caller].set_result(session)
            if fate.block:
                msg = LONG if fate.name == "leaves the prompt" else "Speak."
                await self._block(fate.block, session, caller, msg=msg)
        else:
            await self._block("ivr/end/hangup", session, caller)

    async def _block(self, path: str, session: str, caller: str, **parameters: str) -> None:
        block = path.rpartition("/")[2]
        tag = f"{caller} {block}"
        status = await self._app.block(
            path, session, tag=tag, notify_url=self._app.url(), **parameters
        )
        if status == "success_ok":
            self.accepted[tag] = block
        else:
            self.refused.append(f"{tag}: {status}")

    # The callers

    async def call(self, index: int) -> None:
        """Place one call and live through its fate; by TCP with a connection of its own."""
        number = index % len(FATES)
        fate = FATES[number]
        caller = f"+659{number}{index:06d}"
        async with contextlib.AsyncExitStack() as own:
            by_tcp = fate.name == "by TCP"
            phone = await own.enter_async_context(Phone()) if by_tcp else self._phone
            call = await phone.call(
                self._app.sip(),
                from_number=caller,
                transport="tcp" if by_tcp else "udp",
                late_offer=fate.name == "late offer",
            )
            own.push_async_callback(call.close)
            try:
                async with asyncio.timeout(CALL_LIMIT_S):
                    await fate.live(self, call, caller)
            except TimeoutError:
                raise AssertionError(f"call {index} ({fate.name}) hangs") from None

    async def press_the_key(self, call: PhoneCall, _caller: str) -> None:
        """Record until `#`; the application hangs up."""
        await self._speak(call)
        await call.media.press("#")
        await call.ended()

    async def leave_the_prompt(self, call: PhoneCall, _caller: str) -> None:
        """Hang up while the message is spoken."""
        await call.answered()
        await call.media.talking.wait()
        call.hang_up()
        await call.ended()

    async def leave_the_recording(self, call: PhoneCall, _caller: str) -> None:
        """Hang up while being recorded."""
        await self._speak(call)
        call.hang_up()
        await call.ended()

    async def give_up(self, call: PhoneCall, caller: str) -> None:
        """CANCEL while it rings."""
        await call.ringing()
        await asyncio.shield(self._sessions[caller])
        call.hang_up()
        await refused_with(call, 487)

    async def wait_in_vain(self, call: PhoneCall, _caller: str) -> None:
        """The application sends no block at all."""
        await refused_with(call, 480)

    async def be_thrown_out(self, call: PhoneCall, caller: str) -> None:
        """A forced hangup in the recording."""
        await self._speak(call)
        session = await self._sessions[caller]
        await self._block("ivr/end/hangup", session, caller, force="enabled")
        await call.ended()

    async def renegotiate(self, call: PhoneCall, caller: str) -> None:
        """Hold and resume, then the key."""
        await call.answered()
        await call.media.beep_ended()
        for change in (call.hold, call.resume):
            change()
            await call.renegotiated()
        await call.media.press("#")
        await call.ended()

    async def listen(self, call: PhoneCall, _caller: str) -> None:
        """Hear a message; then the application hangs up."""
        await call.answered()
        await call.ended()

    async def _speak(self, call: PhoneCall) -> None:
        await call.answered()
        await call.media.beep_ended()
        await call.media.say(tone_code.encode_seconds(0, 1)[:4000])


async def refused_with(call: PhoneCall, status: int) -> None:
    """The call gets this final answer."""
    with pytest.raises(CallNotAnswered) as refused:
        await call.answered()
    assert refused.value.status == status


@dataclass(frozen=True)
class Fate:
    """What becomes of a call."""

    name: str
    block: str
    "The first that the application asks for; empty for none."
    live: Callable[[Soak, PhoneCall, str], Awaitable[None]]
    notified: int
    "How many notifications it has."
    charged: bool = True


RECORD, PLAY = "ivr/middle/record", "ivr/middle/play"
FATES = (
    Fate("finish key", RECORD, Soak.press_the_key, 3),
    Fate("leaves the prompt", RECORD, Soak.leave_the_prompt, 2),
    Fate("gives up", "", Soak.give_up, 2, charged=False),
    Fate("forced out", RECORD, Soak.be_thrown_out, 3),
    Fate("in vain", "", Soak.wait_in_vain, 2, charged=False),
    Fate("renegotiated", RECORD, Soak.renegotiate, 3),
    Fate("by TCP", RECORD, Soak.press_the_key, 3),
    Fate("leaves the recording", RECORD, Soak.leave_the_recording, 2),
    Fate("late offer", RECORD, Soak.press_the_key, 3),
    Fate("played", PLAY, Soak.listen, 3),
)


@dataclass(frozen=True)
class Level:
    """What the processes hold at one moment."""

    files: dict[int, list[str]]
    "What is open but for UDP sockets, by process."
    threads: dict[int, int]
    memory_bytes: int
    "Resident, of the control process."


def level_of(server: ServerProcess) -> Level:
    """Read it from /proc."""
    pids = server.pids()
    everybody = [pid for group in pids.values() for pid in group]
    udp = udp_inodes()
    return Level(
        {pid: sorted(link for link in open_files(pid) if link not in udp) for pid in everybody},
        {pid: _status(pid, "Threads") for pid in everybody},
        _status(pids["server"][0], "VmRSS") * 1024,
    )


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process point to."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(link.readlink()))
    return links


def udp_inodes() -> set[str]:
    """All UDP sockets of this machine, as descriptors name them."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return {f"socket:[{line.split()[9]}]" for line in lines}


def udp_ports_held(server: ServerProcess) -> int:
    """How many UDP sockets the processes hold."""
    udp = udp_inodes()
    everybody = [pid for group in server.pids().values() for pid in group]
    return len({link for pid in everybody for link in open_files(pid) if link in udp})


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    assert found, name
    return int(found[1])


async def alive(app: Application) -> dict[str, float]:
    """The server's own counts of what lives."""
    async with app.http.get(f"http://{app.server.admin}/metrics") as reply:
        text = await reply.text()
    wanted = r"^(voiceblocks_(?:live_calls|sip_legs|sip_transactions|media_legs)\S*) (\S+)$"
    return {name: float(value) for name, value in re.findall(wanted, text, re.MULTILINE)}


async def settled(app: Application, limit_s: float, *, transactions: bool) -> None:
    """Wait until nothing lives any more."""
    left: dict[str, float] = {}
    try:
        async with asyncio.timeout(limit_s):
            while True:
                counts = await alive(app)
                assert len(counts) >= 4
                left = {
                    name: count
                    for name, count in counts.items()
                    if count and (transactions or "transactions" not in name)
                }
                if not left:
                    return
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"still there after {limit_s:g} s: {left}") from None


async def test_three_hundred_calls_leave_nothing_behind(tmp_path: Path) -> None:
    """Every block told once, every call ended and charged at most once, and nothing grows."""
    data_dir = tmp_path / "data"
    settings = {"ANSWER_TIMEOUT_S": "6"}
    server = await ServerProcess(data_dir, settings, stderr=tmp_path / "stderr").start()
    try:
        async with Application(server, credit="1000.00") as app, Phone() as phone:
            ports_before = udp_ports_held(server)
            soak = Soak(app, phone)
            await _place(soak, range(WARM_UP_CALLS))
            await settled(app, 10, transactions=False)
            before, pids = level_of(server), server.pids()
            await _place(soak, range(WARM_UP_CALLS, CALLS))
            await settled(app, 10, transactions=False)
            await _all_told(soak, app)
            _check_notifications(soak, app)
            _check_facts(app)
            assert soak.refused == []
            assert app.sink.errors == []
            await settled(app, SETTLED_LIMIT_S, transactions=True)
            # Ports rest for five seconds; the next call closes those whose time is over.
            await soak.call(CALLS)
            await settled(app, 10, transactions=False)
            assert udp_ports_held(server) <= ports_before + 2
            assert server.pids() == pids, "a process died and was started again"
            _check_level(before, level_of(server))
            for folder in ("spools", "work"):
                assert list((data_dir / folder).rglob("*")) == []
    finally:
        assert await server.stop() == 0
    assert_no_fault(server)


async def _place(soak: Soak, indexes: range) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.TaskGroup() as group:
        for count, index in enumerate(indexes):
            group.create_task(soak.call(index))
            await asyncio.sleep(max(0.0, started + (count + 1) / CALLS_PER_S - loop.time()))


async def _all_told(soak: Soak, app: Application) -> None:
    expected = sum(FATES[index % len(FATES)].notified for index in range(CALLS))
    async with asyncio.timeout(15):
        while len({one.event_id for one in app.sink.received}) < expected:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def _check_notifications(soak: Soak, app: Application) -> None:
    """One event for each accepted block; as many for each call as its fate has."""
    by_tag = defaultdict(set)
    by_call: defaultdict[str, set[str]] = defaultdict(set)
    blocks = {}
    for one in app.sink.received:
        assert one.event_id
        assert one.verify_signature(app.access_token)
        by_call[one.body["from"]].add(one.event_id)
        if one.body["ivr_block"] != "answer":
            by_tag[one.body["tag"]].add(one.event_id)
            blocks[one.body["tag"]] = one.body["ivr_block"]
    assert blocks == soak.accepted
    assert {tag for tag, events in by_tag.items() if len(events) != 1} == set()
    counts = Counter((FATES[int(caller[4])].name, len(ids)) for caller, ids in by_call.items())
    share = CALLS // len(FATES)
    assert counts == {(fate.name, fate.notified): share for fate in FATES}


def _check_facts(app: Application) -> None:
    """Every session ended, with one charge or none; every recording has its end."""
    engine = sqlalchemy.create_engine(app.server.database_url)
    with engine.connect() as connection:
        ended = connection.execute(
            sqlalchemy.select(sessions.c.id, sessions.c.from_number, sessions.c.ended_us).where(
                sessions.c.state == "ended"
            )
        ).all()
        charged = Counter(connection.scalars(sqlalchemy.select(charges.c.session_id)))
        told = Counter(connection.scalars(sqlalchemy.select(notifications.c.state)))
        made = Counter(connection.scalars(sqlalchemy.select(recordings.c.state)))
    engine.dispose()
    assert len(ended) == CALLS
    assert all(row.ended_us for row in ended)
    wanted = {row.id for row in ended if FATES[int(row.from_number[4])].charged}
    assert set(charged) == wanted
    assert set(charged.values()) == {1}
    assert set(told) <= {"delivered", "acted_on", "superseded"}, told
    assert set(made) <= {"ready", "failed"}, made
    share = CALLS // len(FATES)
    assert made["failed"] == share, "who leaves the prompt"


def _check_level(before: Level, after: Level) -> None:
    for pid, files in after.files.items():
        new = sorted(set(files) - set(before.files[pid]))
        assert len(files) <= len(before.files[pid]) + NEW_FILES, new
    for pid, threads in after.threads.items():
        assert threads <= before.threads[pid] + NEW_THREADS, (before.threads, after.threads)
    grown = after.memory_bytes - before.memory_bytes
    assert grown < NEW_MEMORY_BYTES, f"{grown >> 20} MB more, {after.memory_bytes >> 20} MB in all"
