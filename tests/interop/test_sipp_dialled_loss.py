"""Many calls of ours over a line that loses a tenth: each ends, and leaves nothing behind.

```
application       server               lossy wire          sipp (called)
  |-- dial --------->|-- INVITE ------x     |                  |
  |                  |-- INVITE ------------|----------------->|
  |                  |                      x---- 180 ---------|
  |<- dial ----------|<---------------------|----- 200 --------|
  |                  |-- ACK ---------x     |                  |
  |-- hangup ------->|-- BYE ---------------|----------------->|
  |<- hangup (ended) |<---------------------|----- 200 --------|
```
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy

from tests.harness import Application
from tests.interop.lossy_proxy import LossyProxy
from tests.interop.sipp_server import SippServer
from tests.interop.test_sipp_loss import eventually
from tests.ports import free_port
from voiceblocks.database.schema import charges, sessions
from voiceblocks.testing.webhook_sink import ReceivedNotification

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

LOSS = 0.10
CALLS = 200
CALLS_PER_S = 20
SETTLED_LIMIT_S = 45.0
PREFIX = "+6591110"


@pytest.mark.slow
async def test_dialled_calls_over_a_lossy_line(app: Application, tmp_path: Path) -> None:
    """Of 200 calls all are answered and hung up by us, with one charge and one end each."""
    words: Counter[str] = Counter()
    ended: Counter[str] = Counter()

    async def on_notification(told: ReceivedNotification) -> None:
        session = told.body["session"]
        if told.body["ivr_block"] == "dial":
            words[told.body["dial_status"]] += 1
        if told.body["call_state"] == "ended":
            ended[session] += 1
        else:
            await app.block("ivr/end/hangup", session, notify_url=app.url())

    app.sink.on_notification = on_notification
    port = free_port()
    async with (
        LossyProxy(f"127.0.0.1:{port}", loss=LOSS, seed=77) as wire,
        SippServer(
            "called_and_hung_up", tmp_path, {"CONTACT": wire.near, "RING": "200"},
            calls=CALLS, port=port,
        ) as sipp,
    ):  # fmt: skip
        await app.server.add_trunk("lossy", wire.near, prefix=(PREFIX,))
        await app.allow(PREFIX)
        dialling = []
        for number in range(CALLS):
            dialling.append(asyncio.create_task(app.dial(f"{PREFIX}{number:03d}")))
            await asyncio.sleep(1 / CALLS_PER_S)
        await asyncio.gather(*dialling)
        await sipp.passed(60)
        assert wire.lost >= CALLS * 0.4, "the line was too good"
        await eventually(app, "voiceblocks_live_calls", SETTLED_LIMIT_S)
        await eventually(app, "voiceblocks_sip_legs", SETTLED_LIMIT_S)
        await eventually(app, 'voiceblocks_media_legs{worker="0"}', 5)
        await eventually(app, "voiceblocks_sip_transactions", SETTLED_LIMIT_S)
    async with asyncio.timeout(15):
        while len(ended) < CALLS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert not app.sink.errors
    assert words == {"answered": CALLS}
    assert set(ended.values()) == {1}, "an end was told twice"
    facts = await asyncio.to_thread(_facts, app)
    assert facts == ({"ended": CALLS}, {1: CALLS})


def _facts(app: Application) -> tuple[Counter[str], Counter[int]]:
    """Sessions by their state, and by how many charges they have."""
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
    engine.dispose()
    return states, Counter(charged.values())
