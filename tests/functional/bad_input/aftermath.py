"""What must be true after an attack."""

from __future__ import annotations

import asyncio

import sqlalchemy

from tests.functional.calls import decode, ringing
from tests.functional.raw_sip import RawPeer
from tests.harness import Application, ServerProcess
from voiceblocks.database.schema import metadata, sessions
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

SEED = 20_261_123


async def record_a_second(app: Application, phone: Phone) -> None:
    """A whole recorded call, with what was said in its MP3."""
    call, session = await ringing(app, phone)
    await app.record(session)
    await call.answered()
    await call.media.beep_ended()
    await call.media.say(tone_code.encode_seconds(4, 1))
    await call.media.press("#")
    told = await app.told(ivr_block="record")
    call.hang_up()
    await app.told(ivr_block="record", call_state="ended")
    samples = decode(await app.fetch(told.body["record_url"]))
    assert [second.second_index for second in tone_code.decode_seconds(samples)] == [4]


def assert_no_fault(server: ServerProcess) -> None:
    """Its log holds no traceback and no error."""
    assert server.stderr is not None
    text = server.stderr.read_text(errors="replace")
    bad = [at for at in ("Traceback", "[error", "[critical", "never awaited") if at in text]
    if bad:
        start = max(0, text.index(bad[0]) - 1000)
        raise AssertionError(text[start : start + 6000])


def count_rows(server: ServerProcess) -> dict[str, int]:
    """How many rows each table has, but for what is written later: attempts, and stories."""
    engine = sqlalchemy.create_engine(server.database_url)
    with engine.connect() as connection:
        counts = {
            table.name: connection.scalar(
                sqlalchemy.select(sqlalchemy.func.count()).select_from(table)
            )
            for table in metadata.sorted_tables
            if table.name not in {"notification_attempts", "story_batches"}
        }
    engine.dispose()
    return {name: count or 0 for name, count in counts.items()}


def count_sessions(server: ServerProcess, app: Application) -> int:
    """Calls of one application, ever."""
    engine = sqlalchemy.create_engine(server.database_url)
    with engine.connect() as connection:
        count = connection.scalar(
            sqlalchemy.select(sqlalchemy.func.count())
            .select_from(sessions)
            .where(sessions.c.app_id == app.app_id)
        )
    engine.dispose()
    return count or 0


def rang(*peers: RawPeer) -> set[tuple[str, str]]:
    """Which calls were taken, as the peers saw it: Call-ID and To-tag of each 180."""
    return {
        (one.header("Call-ID"), one.to_tag)
        for peer in peers
        for one in peer.received
        if one.status == 180
    }


async def no_calls_left(app: Application, within_s: float = 10) -> None:
    """All that rang has ended."""
    async with asyncio.timeout(within_s):
        while True:
            async with app.http.get(f"http://{app.server.admin}/metrics") as reply:
                if "voiceblocks_live_calls 0.0" in await reply.text():
                    return
            # A poll of another process, which tells nobody.
            await asyncio.sleep(0.1)
