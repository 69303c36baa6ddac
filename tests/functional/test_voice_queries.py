"""What is asked about calls: status, history and price, of real calls, also while they last.

```
application                     server                       carrier
  |-- ivr/start/dial ------------->|-- INVITE ------------------>|
  |-- voice/query_status --------->|   ongoing, no duration      |
  |-- ivr/end/hangup ------------->|-- BYE --------------------->|
  |-- voice/query_status --------->|   answered, 1, 0.040        |
  |-- voice/get_history ---------->|   the same, newest first    |
```
"""

from __future__ import annotations

import re

import pytest

from tests.functional.calls import waiting_for_a_block
from tests.functional.outgoing import Carrier
from tests.harness import Application
from voiceblocks.testing.answering import BUSY
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


async def test_a_dialled_call_from_its_ring_to_its_bill(app: Application) -> None:
    """Ongoing has neither duration nor debit; settled it says what the notification said."""
    async with Carrier(app) as carrier:
        number = carrier.number()
        answer = await app.dial(number, tag="order-77")
        txn_ref = answer["txn_ref"]
        await app.told(ivr_block="dial")
        asked = await app.status_of(txn_ref)
        assert DATE.fullmatch(asked.pop("date"))
        during = {
            "status": "success_ok",
            "txn_ref": txn_ref,
            "tag": "order-77",
            "dest1": number,
            "dest2": "",
            "call_status_dest1": "ongoing",
            "call_status_dest2": "",
            "call_status_dest_1": "ongoing",
            "call_status_dest_2": "",
            "currency": "SGD",
            "rate": "0.040",
        }
        assert asked == during
        await app.hang_up(answer["session"], tag="bye")
        told = await app.told(ivr_block="hangup")
        settled = await app.settled(txn_ref)
        del settled["date"]
        assert settled == {
            **during,
            "tag": "bye",
            "call_status_dest1": "answered",
            "call_status_dest_1": "answered",
            "duration": told.body["duration"],
            "debit": told.body["debit"],
        }


async def test_history_lists_calls_newest_first(app: Application, phone: Phone) -> None:
    """Incoming, busy and running ones, page by page, each as query_status tells it."""
    async with Carrier(app) as carrier:
        incoming, session = await waiting_for_a_block(app, phone)
        incoming.hang_up()
        came = await app.told(session=session, call_state="ended")
        busy = await app.dial(carrier.number(BUSY))
        await app.told(session=busy["session"])
        running = await app.dial(carrier.number())
        await app.told(session=running["session"])
        refs = [running["txn_ref"], busy["txn_ref"], came.body["txn_ref"]]
        history = await app.request("voice/get_history")
        assert (history["total_entries_count"], history["entries_count"]) == ("3", "3")
        assert [entry["txn_ref"] for entry in history["entries"]] == refs
        for entry in history["entries"]:
            assert {"status": "success_ok", **entry} == await app.status_of(entry["txn_ref"])
        assert "debit" not in history["entries"][0]
        assert history["entries"][1]["call_status_dest1"] == "busy"
        last = history["entries"][2]
        assert (last["dest1"], last["number"], last["debit"]) == (phone.number, app.number, "0.020")
        second = await app.request("voice/get_history", page="2", page_size="2")
        assert (second["total_entries_count"], second["entries_count"]) == ("3", "1")
        assert [entry["txn_ref"] for entry in second["entries"]] == refs[2:]
        past = await app.request("voice/get_history", to="2020-01-01")
        assert (past["total_entries_count"], past["entries"]) == ("0", [])
        since = await app.request("voice/get_history", **{"from": last["date"], "to": last["date"]})
        assert refs[2] in [entry["txn_ref"] for entry in since["entries"]]


async def test_the_price_of_a_call_and_what_the_credit_pays_for(app: Application) -> None:
    """Both legs together; talktime falls with the credit once a call was charged."""
    async with Carrier(app) as carrier:
        pair = {"dest1": "+6591234567", "dest2": "+6598765432"}
        assert await app.request("voice/get_rate", **pair) == {
            "status": "success_ok", "currency": "SGD", "rate": "0.080", "talktime": "1250",
        }  # fmt: skip
        answer = await app.dial(carrier.number())
        await app.told(ivr_block="dial")
        await app.hang_up(answer["session"])
        await app.told(ivr_block="hangup")
        assert (await app.request("voice/get_rate", **pair))["talktime"] == "1249"
