"""The Asterisk of docs/trunks.md: its two files as they stand there, calls in and out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import Application, ServerProcess
from tests.interop.asterisk_process import AsteriskProcess

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="session")]

PAGE = Path(__file__).parents[2] / "docs" / "trunks.md"
ECHO = "+6531581000"
ANSWERED_HERE = "+6531580042"


def configuration(our_sip: str) -> dict[str, str]:
    """The page's files, with our addresses in place of the page's."""
    files = dict(
        re.findall(
            r"^`(\w+\.conf)`:\n\n```ini\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
        )
    )
    pjsip = files["pjsip.conf"]
    for written, real in {
        "0.0.0.0:5060": "127.0.0.1:{sip_port}",
        "192.0.2.10:5060": our_sip,
        "192.0.2.10": "127.0.0.1",
    }.items():
        assert pjsip.count(written) == 1
        pjsip = pjsip.replace(written, real)
    return {"pjsip.conf": pjsip, "extensions.conf": files["extensions.conf"]}


async def test_its_calls_come_and_go(server: ServerProcess, tmp_path: Path) -> None:
    """An application calls the echo; a call of Asterisk's is told to the application."""
    asterisk = AsteriskProcess(tmp_path, configuration(server.sip), {}, ("app_dial", "app_echo"))
    await asterisk.start()
    try:
        async with Application(server) as app:
            await app.allow("+653158")
            await server.add_trunk("pbx", f"127.0.0.1:{asterisk.sip_port}", prefix=("+653158",))
            await app.dial(ECHO, msg="Hello.")
            told = await app.told(ivr_block="dial")
            assert told.body["dial_status"] == "answered"
            await app.hang_up(told.body["session"], force="enabled")
            await server.cli(
                "number", "add", ANSWERED_HERE, app=app.app_id, notify_url=app.url("/incoming")
            )
            dialled = f"Local/{ANSWERED_HERE}@to-voiceblocks"
            said = await asterisk.command(f"channel originate {dialled} application Echo")
            assert "No such" not in said, said
            answer = await app.told(ivr_block="answer", to=ANSWERED_HERE)
            await app.hang_up(answer.body["session"])
            await server.cli("trunk", "remove", "pbx")
    finally:
        await asterisk.kill()
