"""One server for most functional tests; those that change settings start their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import Application, ServerProcess
from voiceblocks.testing.phone import Phone


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server that all functional tests of a process share."""
    running = await ServerProcess(tmp_path_factory.mktemp("server")).start()
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


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """For a server of one's own."""
    return tmp_path / "data"
