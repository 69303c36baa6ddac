"""Measure delivery beside a dead host: what waits for one must not delay the others.

100,000 notifications wait for a receiver that takes connections and never answers. Beside
it, new ones for a healthy host are committed, 1,000 a second, each of a session of its
own; measured is the time from the commit to the arrival at the receiver, which is a
process of its own. All of it over real HTTP on loopback, with signatures, the guard, the
attempts' rows and the database on disk.

Usage: .venv/bin/python -m benchmarks.delivery [--waiting 100000] [--rate 1000] [--seconds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_network
from pathlib import Path

import uvloop
from sqlalchemy import Connection, func, select

from voiceblocks.accounts.model import Account, Application
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.webhook_client import WebhookClient
from voiceblocks.database import accounts, notifications, schema, sessions
from voiceblocks.database.migrate import upgrade
from voiceblocks.database.rows import columns_of
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import AccountId, AppId, SessionId, TxnRef
from voiceblocks.log import configure
from voiceblocks.money import Thousandths
from voiceblocks.notifications.model import Notification, new_notification
from voiceblocks.sessions.model import Direction, Session
from voiceblocks.sessions.state import SessionState
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows.deliver_notifications import NotificationDelivery

APP = AppId("app0000000000001")
TOKEN = "token0000000000a"
TICK_S = 0.01
WARM_UP_S = 1.0
COUNTER = itertools.count()

# A receiver in the fewest lines, so that it costs little of the second core: reads one
# request after another from each connection and answers at once; its port comes first.
RECEIVER = """
import asyncio, json, sys, time
arrived = {}
class Receiver(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""
    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\\r\\n\\r\\n")) >= 0:
            head = self.buffer[:end].decode().lower().split("\\r\\n")
            fields = dict(line.split(": ", 1) for line in head[1:])
            size = end + 4 + int(fields["content-length"])
            if len(self.buffer) < size:
                return
            self.buffer = self.buffer[size:]
            arrived.setdefault(fields["x-voiceblocks-event"], time.time_ns() // 1000)
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
async def main():
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(arrived), flush=True)
asyncio.run(main())
"""


def session(n: int) -> Session:
    return Session(
        id=SessionId(f"S-1-{n}"),
        txn_ref=TxnRef(f"AA-S-1-{n}"),
        node="1",
        account_id=AccountId("acc_1"),
        app_id=APP,
        direction=Direction.INBOUND,
        from_number="+6591234567",
        to_number="+6531580000",
        state=SessionState.WAITING,
        last_block="answer",
        last_notify_url=None,
        last_tag="",
        run_id=None,
        notification_count=1,
        currency="SGD",
        rate=Thousandths(20),
        debit=None,
        duration_min=None,
        disposition=None,
        dialog=None,
        created_us=1,
        answered_us=1,
        ended_us=None,
    )


def notification(n: int, url: str, now_us: int, *, call_ended: bool) -> Notification:
    return new_notification(
        notification_id=f"evt_{n}",
        session_id=f"S-1-{n}",
        sequence=1,
        app_id=APP,
        block="record",
        url=url,
        parameters="ivr_block=record&session=S-1&txn_ref=AA-S-1&call_state=ended&" + "x" * 200,
        call_ended=call_ended,
        now_us=now_us,
    )


def seed(connection: Connection) -> None:
    account = Account(
        id=AccountId("acc_1"), name="b", currency="SGD", credit=Thousandths(0), created_us=1
    )
    accounts.insert_account(connection, account)
    accounts.insert_application(
        connection, Application(id=APP, account_id=account.id, name="b", created_us=1)
    )


def fill(connection: Connection, n: int, url: str, now_us: int, *, call_ended: bool) -> None:
    """Insert `n` sessions, each with a notification for `url`."""
    numbers = [next(COUNTER) for _ in range(n)]
    connection.execute(schema.sessions.insert(), [columns_of(session(one)) for one in numbers])
    connection.execute(
        schema.notifications.insert(),
        [columns_of(notification(one, url, now_us, call_ended=call_ended)) for one in numbers],
    )


def delivered(connection: Connection) -> int:
    table = schema.notifications
    count = select(func.count()).select_from(table).where(table.c.state == "delivered")
    return int(connection.execute(count).scalar_one())


async def measure(waiting: int, rate: int, seconds: float, folder: Path) -> bool:
    url = f"sqlite:///{folder}/benchmark.db"
    upgrade(url)
    database = Database(url)
    clock = SystemClock()
    await database.run(seed)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as dead:
        dead_url = f"http://127.0.0.1:{dead.getsockname()[1]}/"
        began = time.perf_counter()
        for at in range(0, waiting, 1000):
            n = min(1000, waiting - at)
            await database.run(lambda c, n=n: fill(c, n, dead_url, clock.utc_us(), call_ended=True))
        print(f"{waiting} wait for a dead host (written in {time.perf_counter() - began:.1f} s)")
        receiver = subprocess.Popen(  # noqa: ASYNC220 - before anything is measured
            [sys.executable, "-c", RECEIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert receiver.stdin is not None
        assert receiver.stdout is not None
        alive_url = f"http://127.0.0.1:{int(receiver.stdout.readline())}/"
        http = GuardedHttp([ip_network("127.0.0.0/8")])
        delivery = NotificationDelivery(
            database, WebhookClient(http), clock, lambda _c, _app, _now: TOKEN
        )
        delivery.start()
        committed_us: dict[str, int] = {}
        began, cpu = time.perf_counter(), time.process_time()
        while (elapsed := time.perf_counter() - began) < seconds + WARM_UP_S:
            n = int(elapsed * rate) - len(committed_us)
            if n > 0:
                first = next(COUNTER)
                numbers = [first, *(next(COUNTER) for _ in range(n - 1))]
                await database.run(lambda c, numbers=numbers: insert(c, numbers, alive_url, clock))
                now_us = time.time_ns() // 1000
                committed_us |= {f"evt_{one}": now_us for one in numbers}
                delivery.wake()
            await asyncio.sleep(TICK_S)
        cpu_share = (time.process_time() - cpu) / (time.perf_counter() - began)
        deadline = time.perf_counter() + 20
        while time.perf_counter() < deadline:
            if await database.run(delivered) >= len(committed_us):
                break
            await asyncio.sleep(0.1)
        took_s = time.perf_counter() - began
        receiver.stdin.write("\n")
        receiver.stdin.flush()
        arrived = json.loads(receiver.stdout.readline())
        receiver.wait()
        await delivery.stop()
        await http.close()
        database.close()
    skipped = int(WARM_UP_S * rate)
    measured = list(committed_us.items())[skipped:]
    lost = sum(1 for event, _ in measured if event not in arrived)
    latencies = sorted((arrived[e] - at) / 1000 for e, at in measured if e in arrived)
    p50, p99, most = (latencies[int((len(latencies) - 1) * share)] for share in (0.5, 0.99, 1))
    within = sum(1 for one in latencies if one <= 50) / max(1, len(measured))
    print(
        f"{len(committed_us)} for a healthy host at {rate}/s, arrived within {took_s:.1f} s, "
        f"{lost} lost\nfrom commit to arrival: median {p50:.1f} ms, 99th {p99:.1f} ms, "
        f"longest {most:.1f} ms; {within:.1%} within 50 ms\n"
        f"the sending process used {cpu_share:.0%} of a core"
    )
    return not lost


def insert(connection: Connection, numbers: list[int], url: str, clock: SystemClock) -> None:
    for one in numbers:
        sessions.insert(connection, session(one))
        notifications.insert(connection, notification(one, url, clock.utc_us(), call_ended=True))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on which disk")
    arguments = parser.parse_args()
    configure(level="error")
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        ok = runner.run(measure(arguments.waiting, arguments.rate, arguments.seconds, Path(folder)))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
