"""A server of its own for each module, so that foreign peers disturb nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness import Application, ServerProcess


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server that all tests of a module share."""
    running = await ServerProcess(tmp_path_factory.mktemp("server")).start()
    yield running
    assert await running.stop() == 0


@pytest_asyncio.fixture(loop_scope="module")
async def app(server: ServerProcess) -> AsyncIterator[Application]:
    """A fresh application with a number of its own."""
    async with Application(server) as application:
        yield application
