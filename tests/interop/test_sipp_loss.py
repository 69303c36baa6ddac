"""Calls over a bad line, down to an ACK that never comes: each ends, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy

from tests.harness import Application, ServerProcess
from tests.interop.lossy_proxy import LossyProxy
from tests.interop.peers import Sipp, nothing_more
from voiceblocks.database.schema import charges, notifications, sessions
from voiceblocks.testing.webhook_sink import ReceivedNotification

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

LOSS = 0.10
CALLS_HUNG_UP_BY_CALLER = 200
CALLS_HUNG_UP_BY_US = 40
ALL_CALLS = CALLS_HUNG_UP_BY_CALLER + CALLS_HUNG_UP_BY_US
T1_S = 0.5
SETTLED_LIMIT_S = 45.0
"A transaction is remembered for 64*T1 = 32 s after the last message of a call."


class Answering:
    """An application that lets every caller leave a message, and hangs up where it ended."""

    def __init__(self, app: Application, *, max_duration_s: int) -> None:
        self._app = app
        self._max_duration_s = max_duration_s
        self.ended: Counter[str] = Counter()
        "Sessions by how many notifications said `ended`."

    async def on_notification(self, told: ReceivedNotification) -> None:
        """The next block, as an application sends it from inside its handler."""
        session = told.body["session"]
        if told.body["call_state"] == "ended":
            self.ended[session] += 1
        elif told.body["ivr_block"] == "answer":
            await self._app.block(
                "ivr/middle/record",
                session,
                notify_url=self._app.url(),
                max_duration=str(self._max_duration_s),
            )
        else:
            await self._app.block("ivr/end/hangup", session, notify_url=self._app.url())


async def metrics(app: Application) -> dict[str, float]:
    """What the operator's `/metrics` says, by name with labels."""
    async with app.http.get(f"http://{app.server.admin}/metrics") as reply:
        text = await reply.text()
    found = re.findall(r"^(voiceblocks_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def udp_sockets(pids: list[int]) -> int:
    """How many UDP sockets these processes hold open."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(link.readlink()))
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return sum(f"socket:[{line.split()[9]}]" in inodes for line in lines)


async def eventually(app: Application, name: str, limit_s: float) -> None:
    """Wait until a metric is back at 0."""
    last = -1.0
    try:
        async with asyncio.timeout(limit_s):
            while (last := (await metrics(app))[name]) != 0:  # noqa: ASYNC110
                await asyncio.sleep(0.25)
    except TimeoutError:
        raise AssertionError(f"{name} is still {last:g} after {limit_s:g} s") from None


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def never_acknowledged(
    server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[asyncio.Task[tuple[Sipp, ReceivedNotification]]]:
    """A call without an ACK lives for half a minute, meanwhile the others come and go."""

    async def place() -> tuple[Sipp, ReceivedNotification]:
        folder = tmp_path_factory.mktemp("never_acknowledged")
        async with (
            Application(server) as app,
            Sipp("never_acknowledged", server.sip, app.number, folder, ("-nr",)) as sipp,
        ):
            answer = await app.told(ivr_block="answer")
            await app.record(answer.body["session"])
            told = await app.sink.next(60, ivr_block="record")
            await sipp.passed()
            await nothing_more(app)
            return sipp, told

    task = asyncio.create_task(place())
    yield task
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.slow
async def test_calls_over_a_lossy_line_end_cleanly_and_leave_nothing(
    app: Application, tmp_path: Path
) -> None:
    """Of 240 calls at 10 % loss each way all succeed; legs, ports, sessions, charges are right.

    ```
    sipp             lossy wire        server                     application
      |-- INVITE ------x  |               |                             |
      |-- INVITE -------->|-------------->|                             |
      |                   x---- 100, 180 -|-- answer (ringing) -------->|
      |                   |               |<------- ivr/middle/record --|
      |<------------------|<----- 200 ----|                             |
      |-- ACK ---------x  |               |                             |
      |<------------------|<----- 200 ----|                             |
      |-- ACK ----------->|-------------->|                             |
      |-- BYE ----------->|-------------->|-- record (ended) ---------->|
      |                   x------ 200 ----|                             |
      |-- BYE ----------->|-------------->|                             |
      |<------------------|<----- 200 ----|                             |
    ```

    40 of them are hung up by us instead, and our BYE and its answer are lost as often.
    """
    server = app.server
    pids = server.pids()
    everybody = [pid for group in pids.values() for pid in group]
    sockets_before = udp_sockets(everybody)
    async with (
        Application(server) as other,
        LossyProxy(server.sip, loss=LOSS, seed=4711) as wire,
        LossyProxy(server.sip, loss=LOSS, seed=1147) as other_wire,
    ):
        patient = Answering(app, max_duration_s=60)
        brief = Answering(other, max_duration_s=1)
        app.sink.on_notification = patient.on_notification
        other.sink.on_notification = brief.on_notification
        caller = Sipp(
            "caller_hangs_up", wire.near, app.number, tmp_path / "caller",
            ("-r", "20", "-l", "200"), {"CONTACT": wire.far}, CALLS_HUNG_UP_BY_CALLER,
        )  # fmt: skip
        waiter = Sipp(
            "hung_up_by_us", other_wire.near, other.number, tmp_path / "waiter",
            ("-r", "4", "-l", "200"), {"CONTACT": other_wire.far}, CALLS_HUNG_UP_BY_US,
        )  # fmt: skip
        async with caller, waiter:
            await asyncio.gather(caller.passed(60), waiter.passed(60))
        assert wire.lost >= CALLS_HUNG_UP_BY_CALLER * 0.4, "the line was too good"
        assert other_wire.lost >= CALLS_HUNG_UP_BY_US * 0.4, "the line was too good"

        # The call whose ACK never comes lives longest.
        await eventually(app, "voiceblocks_live_calls", SETTLED_LIMIT_S)
        await eventually(app, "voiceblocks_sip_legs", SETTLED_LIMIT_S)
        await eventually(app, 'voiceblocks_media_legs{worker="0"}', 5)
        assert udp_sockets(pids["worker"]) == 0
        assert server.pids() == pids, "a process died and was started again"

        _check_facts(app, CALLS_HUNG_UP_BY_CALLER)
        _check_facts(other, CALLS_HUNG_UP_BY_US)
        for application, answering, calls in (
            (app, patient, CALLS_HUNG_UP_BY_CALLER),
            (other, brief, CALLS_HUNG_UP_BY_US),
        ):
            await _all_told(answering, calls)
            assert not application.sink.errors
        await eventually(app, "voiceblocks_sip_transactions", SETTLED_LIMIT_S)
        await _one_more_call(app, tmp_path / "after")
        # Ports of old calls rest for some seconds; by now only the last call's pair does.
        assert udp_sockets(everybody) <= sockets_before + 2


async def _one_more_call(app: Application, folder: Path) -> None:
    """After all that the server takes a call as if it were the first."""
    async with LossyProxy(app.server.sip, loss=0, seed=0) as wire:
        fill = {"CONTACT": wire.far}
        async with Sipp("caller_hangs_up", wire.near, app.number, folder, fill=fill) as sipp:
            await sipp.passed()
    assert wire.lost == 0


async def _all_told(answering: Answering, calls: int) -> None:
    async with asyncio.timeout(15):
        while len(answering.ended) < calls:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert set(answering.ended.values()) == {1}, "an end was told twice"


def _check_facts(app: Application, calls: int) -> None:
    """One ended session and one charge a call, and every notification delivered."""
    engine = sqlalchemy.create_engine(app.server.database_url)
    with engine.connect() as connection:
        states = Counter(
            connection.scalars(
                sqlalchemy.select(sessions.c.state).where(sessions.c.app_id == app.app_id)
            )
        )
        charged = Counter(
            connection.scalars(
                sqlalchemy.select(charges.c.session_id).where(
                    charges.c.account_id == app.account_id
                )
            )
        )
        n_told = connection.scalar(
            sqlalchemy.select(sqlalchemy.func.count())
            .select_from(notifications)
            .where(notifications.c.app_id == app.app_id)
        )
    engine.dispose()
    assert states == {"ended": calls}
    assert len(charged) == calls
    assert set(charged.values()) == {1}
    assert n_told is not None
    assert n_told >= 2 * calls


@pytest.mark.slow
async def test_a_200_that_is_never_acknowledged_is_repeated_and_ends_in_a_bye(
    never_acknowledged: asyncio.Task[tuple[Sipp, ReceivedNotification]],
) -> None:
    """The 200 is repeated by RFC 3261 section 13.3.1.4, then a BYE ends the call.

    ```
    sipp             server                     application
      |-- INVITE ----->|                             |
      |<--- 100, 180 --|-- answer (ringing) -------->|
      |                |<------- ivr/middle/record --|
      |<---- 200 ------|  at 0, 0.5, 1.5, 3.5, 7.5, |
      |<---- 200 ------|  then every 4 s            |
      |<---- BYE ------|  at 32 s                    |
      |---- 200 ------>|-- record (failed, ended) -->|
    ```
    """
    sipp, told = await asyncio.shield(never_acknowledged)
    assert told.body["call_state"] == "ended"
    assert told.body["record_status"] == "failed"
    assert "record_url" not in told.body
    oks = [one.at_s for one in sipp.messages() if one.name == "200 INVITE"]
    byes = [one.at_s for one in sipp.messages() if one.received and one.name == "BYE"]
    assert len(byes) == 1
    waited_s = byes[0] - oks[0]
    assert 64 * T1_S - 0.5 <= waited_s <= 64 * T1_S + 3
    # 0.5, 1.5, 3.5, 7.5 and then each 4 s up to 31.5 make ten repeats; the last is a near thing.
    assert len(oks) in (10, 11)
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(oks)]
    for gap_s, due_s in zip(gaps_s, [0.5, 1.0, 2.0, *[4.0] * 7], strict=False):
        # Never early. One that is late is the machine's; how many there are in all says the rest.
        assert due_s - 0.4 <= gap_s <= due_s + 2.0
