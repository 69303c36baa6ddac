"""Servers that are killed: each has a data folder and ports that outlive its processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness import Application, ServerProcess
from tests.ports import free_address
from voiceblocks.testing.phone import Phone


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """One server for nearly all tests, which kill it and start it again."""
    data_dir = tmp_path_factory.mktemp("server")
    running = ServerProcess(data_dir, http=free_address(), sip=free_address())
    await running.start()
    yield running
    assert await running.stop() == 0


@pytest_asyncio.fixture(loop_scope="session")
async def app(server: ServerProcess) -> AsyncIterator[Application]:
    """A fresh application with a number of its own."""
    async with Application(server) as application:
        yield application


@pytest_asyncio.fixture(loop_scope="session")
async def phone() -> AsyncIterator[Phone]:
    """A phone; hangs up at the end of the test."""
    async with Phone() as made:
        yield made
