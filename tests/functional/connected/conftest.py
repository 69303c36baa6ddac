"""One carrier and one account for all tests of a module; each test has its own application."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.functional.connected.facts import Facts
from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owner(server: ServerProcess) -> AsyncIterator[Application]:
    """Whose account the tests of a module share."""
    async with Application(server, credit="1000.00") as application:
        yield application


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def carrier(owner: Application) -> AsyncIterator[Carrier]:
    """A trunk whose numbers every application of a module may call."""
    async with Carrier(owner) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def app(owner: Application, carrier: Carrier) -> AsyncIterator[Application]:
    """A fresh application that may call the carrier's numbers."""
    async with Application(owner.server, beside=owner) as application:
        yield application


@pytest_asyncio.fixture(loop_scope="session")
async def facts(server: ServerProcess) -> AsyncIterator[Facts]:
    """What the server wrote down."""
    made = Facts(server.database_url)
    yield made
    made.close()
