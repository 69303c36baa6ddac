"""What an operator disables does nothing new at once; what runs comes to its end.

```
phone            server                         application
  |== a recording ==>|   account disable            |
  |-- another call ->|-- 480                        |
  |                  |<-------- any request --------|  error_developer_suspended
  |== speech, # ====>|-- record (ongoing) --------->|
  |                  |<-------- next block ---------|  error_developer_suspended
  |<---- BYE --------|   no block came in time      |
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.calls import recording
from tests.harness import Application, ServerProcess
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import CallNotAnswered, Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDED_LIMIT_S = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server that does not wait long for a next block."""
    folder = tmp_path_factory.mktemp("disabled")
    running = await ServerProcess(folder, {"IDLE_TIMEOUT_S": "2"}).start()
    yield running
    assert await running.stop() == 0


async def refused(app: Application, phone: Phone) -> None:
    """A call to the application's number gets 480, and nobody is told of it."""
    before = len(app.sink.received)
    call = await phone.call(app.sip())
    with pytest.raises(CallNotAnswered, match="480"):
        await call.answered()
    assert len(app.sink.received) == before


async def balance(app: Application) -> str:
    """The status of a request."""
    return str((await app.request("user/get_balance"))["status"])


async def test_what_runs_comes_to_its_end_and_nothing_new_begins(
    app: Application, phone: Phone
) -> None:
    """An account, an application and a number, each disabled and enabled again."""
    call, session = await recording(app, phone)
    async with Phone() as other:
        await app.server.cli("account", "disable", app.account_id)
        assert await balance(app) == "error_developer_suspended"
        await refused(app, other)
        await call.media.say(tone_code.encode_seconds(0, 1))
        await call.media.press("#")
        told = (await app.told(ivr_block="record")).body
        assert (told["record_status"], told["call_state"]) == ("success", "ongoing")
        status = await app.block("ivr/middle/play", session, notify_url=app.url())
        assert status == "error_developer_suspended"
        async with asyncio.timeout(ENDED_LIMIT_S):
            await call.ended()
        await app.told(call_state="ended")

        await app.server.cli("account", "enable", app.account_id)
        assert await balance(app) == "success_ok"
        await app.server.cli("app", "disable", app.app_id)
        assert await balance(app) == "error_invalid_app_id"
        await refused(app, other)

        await app.server.cli("app", "enable", app.app_id)
        await app.server.cli("number", "disable", app.number)
        assert await balance(app) == "success_ok"
        await refused(app, other)

        await app.server.cli("number", "enable", app.number)
        again = await other.call(app.sip())
        await app.told(ivr_block="answer", call_state="ringing")
        again.hang_up()
        await app.told(call_state="ended")
