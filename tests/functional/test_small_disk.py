"""A disk of 20 MB that runs low, or is full: new recordings are refused, and none is cut short."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.functional.calls import LENGTH_TOLERANCE_MS, decode, length_ms, recording, ringing
from tests.harness import Application, ServerProcess
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

MB = 1_000_000
RESERVE_MB = 6
N_RUNNING = 5
N_REFUSED = 95
AT_ONCE = 12


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "none", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free_bytes(folder: Path) -> int:
    """As `df` says."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


async def refused(app: Application, phone: Phone) -> str:
    """A call whose recording is asked for; it ends by itself."""
    call, session = await ringing(app, phone)
    status = await app.block("ivr/middle/record", session, notify_url=app.url())
    await app.hang_up(session)
    await call.ended()
    return status


async def expect_whole(app: Application, session: str, *, first: int, seconds: int) -> None:
    """A recording is told of, and holds these numbered seconds, each in its place."""
    told = await app.sink.next(30, ivr_block="record", session=session)
    assert told.body["record_status"] == "success"
    samples = decode(await app.fetch(told.body["record_url"]))
    begins_ms = tone_code.decode_seconds(samples)[0].starts_at_ms
    assert tone_code.check(samples, first, seconds, begins_ms) == []
    assert length_ms(samples) >= seconds * 1000 - LENGTH_TOLERANCE_MS
    await app.hang_up(session)


@pytest.mark.timeout(150)
async def test_no_recording_is_cut_short(small_disk: Path, phone: Phone) -> None:
    """
    Of 100 calls those that record go on to their end, the others hear why they cannot.

    ```
    5 calls record           somebody fills the disk           '#'
      |----------------------------------------------------------|  whole, to the sample
                               95 calls ask for a recording: error_recording_space_low
                                                                    room again: it begins
    ```
    """
    server = ServerProcess(small_disk / "data", settings={"DISK_RESERVE_MB": str(RESERVE_MB)})
    await server.start()
    filler = small_disk / "somebody else's"
    async with Application(server) as app:
        running = [await recording(app, phone, max_duration="120") for _ in range(N_RUNNING)]
        saying = [
            call.media.say(tone_code.encode_seconds(7 * n, 4))
            for n, (call, _session) in enumerate(running)
        ]
        # Nothing but the reserve is left, and what runs needs more than nothing.
        filler.write_bytes(bytes(free_bytes(small_disk) - RESERVE_MB * MB))
        places = asyncio.Semaphore(AT_ONCE)

        async def one() -> str:
            async with places:
                return await refused(app, phone)

        statuses = await asyncio.gather(*(one() for _ in range(N_REFUSED)))
        assert statuses == ["error_recording_space_low"] * N_REFUSED
        await asyncio.gather(*saying)
        for n, (call, session) in enumerate(running):
            await call.media.press("#")
            await expect_whole(app, session, first=7 * n, seconds=4)
        filler.unlink()
        call, session = await ringing(app, phone)
        await app.record(session)
        await call.answered()
        await app.hang_up(session, force="enabled")
    await server.stop()


@pytest.mark.timeout(150)
async def test_a_disk_that_is_full_for_a_while(small_disk: Path, phone: Phone) -> None:
    """
    Somebody fills the disk to its last byte while callers speak, and one ends: all is kept.

    ```
    3 callers speak |== 8 s ======================================|
                        | no byte is free ... |
                             '#' of the first   first is told, whole        '#' of the others
    ```
    """
    server = ServerProcess(small_disk / "data", settings={"DISK_RESERVE_MB": "1"})
    await server.start()
    filler = small_disk / "somebody else's"
    async with Application(server) as app:
        calls = [await recording(app, phone, max_duration="60") for _ in range(3)]
        said = [
            [call.media.say(second) for second in np.split(tone_code.encode_seconds(10 * n, 8), 8)]
            for n, (call, _session) in enumerate(calls)
        ]
        await said[0][1]
        fill(filler)
        assert free_bytes(small_disk) == 0
        await said[0][3]
        await calls[0][0].media.press("#")
        await said[1][5]
        assert not [told for told in app.sink.received if told.body["ivr_block"] == "record"]
        filler.unlink()
        await expect_whole(app, calls[0][1], first=0, seconds=4)
        for n, (call, session) in enumerate(calls[1:], 1):
            await said[n][7]
            await call.media.press("#")
            await expect_whole(app, session, first=10 * n, seconds=8)
    await server.stop()


def fill(path: Path) -> None:
    """Take every byte that is left; whoever writes meanwhile gets nothing."""
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return
