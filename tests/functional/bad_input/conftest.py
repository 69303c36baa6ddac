"""One server takes all attacks, with its log in a file of its own; after each it is examined."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.bad_input.aftermath import assert_no_fault, record_a_second
from tests.harness import Application, ServerProcess
from voiceblocks.testing.phone import Phone


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server of this folder's own: its log is read, and it waits for nobody long."""
    folder = tmp_path_factory.mktemp("attacked")
    settings = {"ANSWER_TIMEOUT_S": "3"}
    running = await ServerProcess(folder, settings, stderr=folder / "stderr").start()
    yield running
    assert await running.stop() == 0
    assert_no_fault(running)


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def unharmed(server: ServerProcess, app: Application) -> AsyncIterator[None]:
    """After each test: no fault in the log, no process died."""
    before = server.pids()
    yield
    assert server.pids() == before, "a process died and was started again"
    assert_no_fault(server)


@pytest_asyncio.fixture(loop_scope="session")
async def still_records(server: ServerProcess) -> AsyncIterator[None]:
    """After the test a caller of somebody else is recorded as ever."""
    yield
    async with Application(server) as other, Phone() as phone:
        await record_a_second(other, phone)
