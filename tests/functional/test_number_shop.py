"""A number from the operator's stock to a ringing call, and what becomes of it when it expires.

```
operator        application                          server                phone
 number load --------------------------------------->|
                  |-- get_countries, _choices, _rates>|
                  |-- subscribe (1 month, 4.000) ---->|  paid
                  |-- update_forwarding ------------->|
                  |<------------------- answer -------|<-- INVITE -----------|
                  |          [the month is over]      |
                  |                                   |  paid again, or 404
```
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Application, ServerProcess
from voiceblocks.database import accounts
from voiceblocks.database.unit_of_work import Database
from voiceblocks.testing.phone import CallNotAnswered, Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXTENDED, GIVEN_BACK = "+6531580071", "+6531580072"
DAY_US = 24 * 3600 * 1_000_000


async def rings(app: Application, phone: Phone, number: str) -> None:
    """A call to a number is told to who subscribed it."""
    call = await phone.call(app.sip(number))
    told = (await app.told(ivr_block="answer", call_state="ringing")).body
    assert told["to"] == number
    call.hang_up()
    await app.told(ivr_block="answer", call_state="ended")


async def rings_nobody(app: Application, phone: Phone, number: str) -> None:
    """A call to a number that is nobody's."""
    call = await phone.call(app.sip(number))
    with pytest.raises(CallNotAnswered, match="404"):
        await call.answered()


def let_expire(server: ServerProcess, *numbers: str) -> None:
    """Their month ended a day ago, as far as the database knows."""
    database = Database(server.database_url)
    try:
        for number in numbers:
            found = database.run_sync(lambda c, n=number: accounts.find_number(c, n))
            assert found is not None
            # Not the day of its subscription, whose next month is paid already.
            ended_us = found.number.created_us - DAY_US
            database.run_sync(
                lambda c, n=number, us=ended_us: accounts.update_number(c, n, expires_us=us)
            )
    finally:
        database.close()


@pytest.mark.timeout(180)
async def test_from_the_stock_to_the_end(data_dir: Path, tmp_path: Path, phone: Phone) -> None:
    """Every request of the shop on a running server, over SIP, and the job that settles the end."""
    stock, prices = tmp_path / "numbers.csv", tmp_path / "rates.csv"
    stock.write_text(f"number,state,state_name\n{EXTENDED},,\n{GIVEN_BACK},,\n")
    prices.write_text("country,months,currency,rate\nSG,1,SGD,4.000\n")
    server = await ServerProcess(data_dir).start()
    try:
        async with Application(server) as app:
            await server.cli("number", "load", str(stock))
            await server.cli("number", "rates", str(prices))
            countries = await app.request("number/get_countries")
            assert [one["code"] for one in countries["entries"]] == ["SG"]
            choices = await app.request("number/get_choices", country="SG")
            assert [one["number"] for one in choices["entries"]] == [EXTENDED, GIVEN_BACK]
            rates = await app.request("number/get_rates", country="SG")
            assert rates["entries"] == [{"duration": "1", "rate": "4.000"}]

            await rings_nobody(app, phone, EXTENDED)
            for number, extend in ((EXTENDED, "enabled"), (GIVEN_BACK, "disabled")):
                bought = await app.request(
                    "number/subscribe", number=number, duration="1", auto_extend=extend
                )
                assert bought["status"] == "success_ok"
                set_to = await app.request(
                    "number/update_forwarding", number=number, forward_to=app.url("/call")
                )
                assert set_to == {"status": "success_ok"}
            assert (await app.request("user/get_balance"))["balance"] == "92.000"
            active = await app.request("number/get_active")
            found = {one["number"]: one["auto_extend_status"] for one in active["entries"]}
            assert (found[EXTENDED], found[GIVEN_BACK]) == ("enabled", "disabled")
            await rings(app, phone, EXTENDED)

            # It looks at the start, and each minute.
            assert await server.stop() == 0
            let_expire(server, EXTENDED, GIVEN_BACK)
            await server.start()
            await rings_nobody(app, phone, GIVEN_BACK)
            await rings(app, phone, EXTENDED)
            assert (await app.request("user/get_balance"))["balance"] == "88.000"
            active = await app.request("number/get_active")
            listed = [one["number"] for one in active["entries"]]
            assert EXTENDED in listed
            assert GIVEN_BACK not in listed
            # It rests, so that no stranger gets the calls of who had it.
            assert (await app.request("number/get_choices", country="SG"))["entries"] == []
            entries = (await server.cli("ledger", "list", app.account_id))["entries"]
            assert sum(one["kind"] == "number" for one in entries) == 3
            assert (await server.cli("ledger", "check"))["books"] == "balanced"
    finally:
        assert await server.stop() == 0
