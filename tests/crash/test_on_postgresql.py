"""The main job, and a crash in it, with PostgreSQL for the books."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.crash import facts
from tests.crash.victims import is_recovered, victim
from tests.functional import test_record
from tests.harness import Application, ServerProcess
from tests.ports import free_address
from tests.sealing import samples_in, seal
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
async def test_a_recorded_call_and_a_killed_one(
    tmp_path: Path, database_url: str, phone: Phone
) -> None:
    """
    The same server, told where PostgreSQL is; here only its supervisor is killed.

    The killed one is sealed, so that this is seen with these books, too.
    """
    server = ServerProcess(
        tmp_path / "data",
        settings={"DATABASE_URL": database_url},
        http=free_address(),
        sip=free_address(),
    )
    await server.start()
    try:
        async with Application(server) as other, Application(server) as app, Phone() as second:
            await seal(app, tmp_path)
            one, _done = await asyncio.gather(
                victim(app, phone),
                test_record.test_a_caller_is_recorded_until_the_finish_key(other, second),
            )
            pids = [pid for found in server.pids().values() for pid in found]
            one.killed_at = time.monotonic()
            # The kernel takes all the others with it, so that the next one finds free ports.
            facts.kill(server.pids()["supervisor"][0])
            await server.gone()
            await facts.until(lambda: not any(facts.is_alive(pid) for pid in pids))
            await server.start()
            await is_recovered(app, one, samples_in)
    finally:
        assert await server.stop() == 0
    assert not (server.data_dir / "voiceblocks.db").exists()
