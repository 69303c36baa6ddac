"""SIPp as called side, against our phone: what the tests of outgoing calls at loss stand on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.interop.lossy_proxy import LossyProxy
from tests.interop.sipp_server import SippServer
from tests.ports import free_port
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall

pytestmark = pytest.mark.interop

CALLS = 10
LOSS = 0.10
LIMIT_S = 45.0


async def outcome(call: PhoneCall, *, hang_up: bool = False) -> str:
    """How a call of ours ended: status or end cause."""
    try:
        await call.answered()
    except CallNotAnswered as failure:
        return str(failure.status)
    if hang_up:
        call.hang_up()
    await call.ended()
    return call.end_cause or ""


async def place(
    scenario: str,
    folder: Path,
    fill: Mapping[str, str],
    *,
    hang_up: bool = False,
    cancel: bool = False,
) -> set[str]:
    """Place calls through a wire that loses a tenth; SIPp must be content; all outcomes."""
    port = free_port()
    async with (
        LossyProxy(f"127.0.0.1:{port}", loss=LOSS, seed=11) as wire,
        SippServer(
            scenario, folder, {**fill, "CONTACT": wire.near}, calls=CALLS, port=port
        ) as sipp,
        Phone() as phone,
        asyncio.timeout(LIMIT_S),
    ):
        calls = [await phone.call(f"sip:+6591110001@{wire.near}") for _ in range(CALLS)]
        if cancel:
            await _all(call.ringing() for call in calls)
            for call in calls:
                call.hang_up()
        outcomes = await asyncio.gather(*(outcome(call, hang_up=hang_up) for call in calls))
        await sipp.passed(LIMIT_S)
        assert wire.lost > 0
    return set(outcomes)


async def _all(waiting: Iterable[object]) -> None:
    await asyncio.gather(*waiting)  # type: ignore[arg-type]


async def test_answered_and_hung_up_by_us(tmp_path: Path) -> None:
    """180, 200, our BYE: ten of ten, with a tenth of the datagrams lost."""
    told = await place("called_and_hung_up", tmp_path, {"RING": "200"}, hang_up=True)
    assert told == {"hung_up"}


async def test_answered_and_hung_up_by_the_far_end(tmp_path: Path) -> None:
    """180, 200, their BYE."""
    fill = {"RING": "200", "TALK": "500"}
    assert await place("called_and_hangs_up", tmp_path, fill) == {"peer_hung_up"}


async def test_refused(tmp_path: Path) -> None:
    """486 at once."""
    assert await place("called_and_refuses", tmp_path, {"STATUS": "486 Busy Here"}) == {"486"}


async def test_given_up_while_it_rings(tmp_path: Path) -> None:
    """180, our CANCEL, 487."""
    assert await place("called_and_cancelled", tmp_path, {}, cancel=True) == {"487"}


async def test_silent(tmp_path: Path) -> None:
    """Nothing ever comes back; SIPp has seen our INVITE and its repetitions."""
    fill = {"SILENT": "2500"}
    async with (
        SippServer("called_and_silent", tmp_path, fill) as sipp,
        Phone() as phone,
    ):
        call = await phone.call(f"sip:+6591110001@{sipp.address}")
        await sipp.passed()
        assert call.progress == []
        assert set(sipp.sequence()) == {"<- INVITE"}
        assert len(sipp.sequence()) >= 3
