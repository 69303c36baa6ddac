"""A call ends when its credit is used up, and says so.

```
phone            server                     application
  |-- INVITE ----->|  first block held           |
  |<---- 180 ------|-- answer (ringing) -------->|
  |                |<------- ivr/middle/record --|
  |<---- 200 ------|  hold renewed, block after block
  |== speech ======|                             |
  |                |  no more credit             |
  |<---- BYE ------|-- record (ended, ---------->|
  |                |      call_end=credit_used_up)
```
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.functional.calls import decode, length_ms, ringing
from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess
from voiceblocks.testing.answering import Answer
from voiceblocks.testing.phone import CallNotAnswered, Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

PER_SECOND = "0.060"
"A thousandth for each second, in blocks of one."
ENDED_LIMIT_S = 15.0


async def load_tariffs(server: ServerProcess, folder: Path, *lines: str) -> None:
    """Load a price list beside what other tests have."""
    file = folder / "tariffs.csv"
    file.write_text("\n".join(("direction,prefix,currency,rate,block_s", *lines)) + "\n")
    assert (await server.cli("tariff", "load", str(file)))["loaded"] == len(lines)


async def test_a_call_ends_when_its_credit_is_used_up(
    server: ServerProcess, phone: Phone, tmp_path: Path
) -> None:
    """Six thousandths are six seconds: talked, paid, and what was said is kept."""
    async with Application(server, credit="0.006") as app:
        await load_tariffs(server, tmp_path, f"inbound,{app.number},SGD,{PER_SECOND},1")
        call, session = await ringing(app, phone)
        await app.record(session, tag="until the end")
        await call.answered()
        async with asyncio.timeout(ENDED_LIMIT_S):
            await call.ended()
        assert call.end_cause == "peer_hung_up"
        told = (await app.told(ivr_block="record")).body
        assert (told["call_state"], told["call_end"]) == ("ended", "credit_used_up")
        assert (told["tag"], told["record_status"]) == ("until the end", "success")
        assert (told["rate"], told["debit"], told["duration"]) == ("0.060", "0.006", "1")
        # Some of the six seconds went by before the beep was over.
        assert 500 < length_ms(decode(await app.fetch(told["record_url"]))) < 6500
        shown = await server.cli("account", "show", app.account_id)
        assert (shown["credit"], shown["held"]) == ("0.000", "0.000")
        refused = await phone.call(app.sip())
        async with asyncio.timeout(ENDED_LIMIT_S):
            await refused.ended()
        assert len(app.sink.received) == 2


async def test_a_call_ends_when_the_day_s_cap_is_reached(
    server: ServerProcess, phone: Phone, tmp_path: Path
) -> None:
    """There is credit, but the account may spend six thousandths a day: in calls of both ways."""
    async with Application(server) as app:
        await server.cli("account", "set", app.account_id, spend_per_day="0.006")
        await load_tariffs(server, tmp_path, f"inbound,{app.number},SGD,{PER_SECOND},1")
        call, session = await ringing(app, phone)
        await app.record(session)
        await call.answered()
        async with asyncio.timeout(ENDED_LIMIT_S):
            await call.ended()
        told = (await app.told(ivr_block="record")).body
        assert (told["call_state"], told["call_end"]) == ("ended", "credit_used_up")
        assert told["debit"] == "0.006"
        refused = await phone.call(app.sip())
        with pytest.raises(CallNotAnswered, match="603"):
            await refused.answered()
        await server.cli("account", "set", app.account_id, spend_per_day="none")
        again, _session = await ringing(app, phone)
        again.hang_up()


async def test_a_conversation_ends_when_its_credit_is_used_up(
    server: ServerProcess, tmp_path: Path
) -> None:
    """Both legs cost, each from its own answer, and both hear the end."""
    async with Application(server, credit="0.006") as app, Carrier(app) as carrier:
        price = f"outbound,{carrier.prefix},SGD,{PER_SECOND},1"
        await load_tariffs(server, tmp_path, price)
        first, second = carrier.number(Answer()), carrier.number(Answer())
        txn_ref = await app.call(first, second)
        calls = [await carrier.call_to(first), await carrier.call_to(second)]
        for call in calls:
            await call.answered()
        for call in calls:
            async with asyncio.timeout(ENDED_LIMIT_S):
                await call.ended()
        told = (await app.told(txn_ref=txn_ref)).body
        assert told["call_end"] == "credit_used_up"
        # The leg whose next block comes first ends both; the other may not have begun its own.
        assert told["debit"] in ("0.005", "0.006")
        answer = await app.request("voice/call", dest1=first, dest2=second)
        assert answer["status"] == "error_insufficient_credit"
    assert (await server.cli("ledger", "check"))["books"] == "balanced"
