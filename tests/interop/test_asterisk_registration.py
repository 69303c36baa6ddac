"""We are registered at a real Asterisk 22, and called where we have registered.

```
server                          Asterisk (registrar)
  |-- REGISTER ------------------>|
  |<- 401 ------------------------|
  |-- REGISTER (digest) --------->|
  |<- 200, for 12 s --------------|
  |-- REGISTER, before that ends->|   again and again
  |<- INVITE (national number) ---|
```
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.harness import Application, ServerProcess
from tests.interop.asterisk_trunk import PASSWORD, USERNAME, AsteriskTrunk
from tests.interop.peers import until

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

LIMIT_S = 15.0
REGISTERED_FOR_S = 12
"So long a registration lasts if nobody renews it."


async def contacts(trunk: AsteriskTrunk, *, some: bool) -> list[str]:
    """Wait until it knows where we are, or that we are nowhere."""
    async with asyncio.timeout(LIMIT_S):
        while bool(found := await trunk.contacts()) is not some:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return found


async def test_registered_for_as_long_as_we_run(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """
    Renewed before it ends; calls come by it, national numbers read; taken back at the stop.

    The caller's number is made whole, too.
    """
    pbx = tmp_path_factory.mktemp("pbx")
    async with AsteriskTrunk(pbx, longest_s=REGISTERED_FOR_S) as trunk:
        server = await ServerProcess(tmp_path / "server").start()
        await server.add_trunk(
            "carrier", trunk.address, username=USERNAME, password=PASSWORD, register=True,
            country="SG", number_format="national",
        )  # fmt: skip
        [contact] = await contacts(trunk, some=True)
        began_s = time.monotonic()
        assert server.sip in contact
        async with Application(server) as app:
            national = app.number.removeprefix("+65")
            await trunk.call(national, caller="98765432")
            answer = await app.told(ivr_block="answer", call_state="ringing")
            assert (answer.body["from"], answer.body["to"]) == ("+6598765432", app.number)
            await app.hang_up(answer.body["session"])
            await app.told(call_state="ended")
            while time.monotonic() < began_s + REGISTERED_FOR_S + 2:
                assert await trunk.contacts(), "the registration ran out"
                await asyncio.sleep(0.3)
            await trunk.call(national, caller="98765433")
            answer = await app.told(ivr_block="answer", call_state="ringing")
            assert answer.body["from"] == "+6598765433"
            await app.hang_up(answer.body["session"])
            await app.told(call_state="ended")
        await trunk.hung_up()
        assert await server.stop() == 0
        await contacts(trunk, some=False)


async def test_a_wrong_password_is_told(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The log names the trunk and the refusal, and not the password; a new one helps at once."""
    log = tmp_path / "server.log"
    pbx = tmp_path_factory.mktemp("pbx")
    async with AsteriskTrunk(pbx) as trunk:
        server = await ServerProcess(tmp_path / "server", stderr=log).start()
        await server.add_trunk(
            "carrier", trunk.address, username=USERNAME, password="not-it", register=True
        )
        await until(lambda: _refusals(log) > 0, LIMIT_S, "the log tells of the refusal")
        assert "not-it" not in log.read_text()
        assert await trunk.contacts() == []
        await server.cli("trunk", "remove", "carrier")
        await server.add_trunk(
            "carrier", trunk.address, username=USERNAME, password=PASSWORD, register=True
        )
        await contacts(trunk, some=True)
        assert await server.stop() == 0


def _refusals(log: Path) -> int:
    lines = log.read_text().splitlines()
    return sum("registration" in one and "carrier" in one and "40" in one for one in lines)
