"""A call's capture in Wireshark's own reader: what was said is there, and nothing looks wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.functional.calls import ringing
from tests.harness import Application, ServerProcess
from tests.interop.peers import need
from voiceblocks.database.unit_of_work import Database
from voiceblocks.stories.model import Address, SipMessage
from voiceblocks.stories.pcap import capture_of
from voiceblocks.testing.phone import Phone
from voiceblocks.workflows.export_story import story_capture
from voiceblocks.workflows.tell_story import tell_story

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

FIELDS = (
    "sip.Method",
    "sip.Status-Code",
    "sip.Call-ID",
    "ip.src",
    "ipv6.src",
    "udp.srcport",
    "tcp.srcport",
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "tcp.analysis.flags",
    "_ws.malformed",
)
GOOD = "1"
TOLD_LIMIT_S = 20.0


async def dissected(path: Path, capture: bytes) -> list[dict[str, str]]:
    """What tshark reads in a capture, a packet each."""
    tshark = need("tshark", "tshark")
    await asyncio.to_thread(path.write_bytes, capture)
    checks = [f"{name}.check_checksum:TRUE" for name in ("ip", "udp", "tcp")]
    words = [word for check in checks for word in ("-o", check)]
    words += [word for name in FIELDS for word in ("-e", name)]
    process = await asyncio.create_subprocess_exec(
        tshark, "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=f", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    lines = said.decode().splitlines()
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in lines]


def a_message(
    start: str, transport: str, local: Address, remote: Address, *, incoming: bool, at_us: int
) -> SipMessage:
    """A message that every reader takes."""
    data = (
        f"{start}\r\nVia: SIP/2.0/{transport.upper()} 192.0.2.1;branch=z9hG4bKa\r\n"
        "From: <sip:a@host>;tag=1\r\nTo: <sip:b@host>\r\nCall-ID: one@host\r\nCSeq: 1 INVITE\r\n"
        "Max-Forwards: 70\r\nContact: <sip:a@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    return SipMessage(at_us, "", incoming, transport, local, remote, data, len(data))


async def test_every_kind_of_packet_is_clean(tmp_path: Path) -> None:
    """IPv4 and IPv6, UDP and TCP in both directions, and one that was cut."""
    v4, v6 = (
        (("192.0.2.1", 5060), ("198.51.100.7", 40_123)),
        (("2001:db8::1", 5060), ("2001:db8::2", 5062)),
    )
    messages: list[SipMessage] = []
    for transport in ("udp", "tcp"):
        for local, remote in (v4, v6):
            for start, incoming in (
                ("INVITE sip:b@host SIP/2.0", True),
                ("SIP/2.0 100 Trying", False),
                ("SIP/2.0 180 Ringing", False),
            ):
                at_us = 1_700_000_000_000_000 + len(messages)
                messages.append(
                    a_message(start, transport, local, remote, incoming=incoming, at_us=at_us)
                )
    whole = messages[0]
    cut = SipMessage(whole.at_us + 99, "", True, "udp", *v4, whole.data, whole.size_bytes + 900)
    packets = await dissected(tmp_path / "all.pcap", capture_of([*messages, cut]))
    assert len(packets) == 13
    assert [one["sip.Method"] or one["sip.Status-Code"] for one in packets[:12]] == [
        "INVITE", "100", "180",
    ] * 4  # fmt: skip
    assert packets[12]["sip.Method"] == "INVITE"
    for packet in packets[:12]:
        assert packet["sip.Call-ID"] == "one@host"
        assert packet["_ws.malformed"] == ""
        assert packet["tcp.analysis.flags"] == ""
    assert {one["ip.checksum.status"] for one in packets} == {GOOD, ""}
    assert {one["udp.checksum.status"] for one in packets[:6]} == {GOOD}
    assert {one["tcp.checksum.status"] for one in packets[6:12]} == {GOOD}
    assert packets[0]["ip.src"] == "198.51.100.7"
    assert packets[0]["udp.srcport"] == "40123"
    assert packets[10]["ipv6.src"] == "2001:db8::1"


async def capture_after_bye(server: ServerProcess, session: str) -> bytes:
    """The capture once the answer to BYE is in it."""
    database = Database(server.database_url)
    try:
        async with asyncio.timeout(TOLD_LIMIT_S):
            while True:
                story = await database.run(lambda connection: tell_story(connection, session))
                assert story is not None
                if any("200 OK (BYE)" in moment.what for moment in story.moments):
                    return story_capture(story)
                await asyncio.sleep(0.1)
    finally:
        await asyncio.to_thread(database.close)


def methods(packets: Sequence[dict[str, str]]) -> list[str]:
    """Methods and statuses, each first time."""
    said = [packet["sip.Method"] or packet["sip.Status-Code"] for packet in packets]
    return list(dict.fromkeys(said))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_real_call_is_read_as_it_was(
    server: ServerProcess, app: Application, tmp_path: Path, transport: str
) -> None:
    """INVITE, its answers, ACK and BYE with one Call-ID, from the phone's own port."""
    async with Phone() as phone:
        call, session = await ringing(app, phone, transport=transport)
        assert await app.block("ivr/middle/play", session, notify_url=app.url()) == "success_ok"
        await call.answered()
        await app.told(ivr_block="play")
        call.hang_up()
        await call.ended()
    packets = await dissected(tmp_path / "call.pcap", await capture_after_bye(server, session))
    assert methods(packets) == ["INVITE", "100", "180", "200", "ACK", "BYE"]
    assert len({packet["sip.Call-ID"] for packet in packets}) == 1
    for packet in packets:
        assert packet["_ws.malformed"] == ""
        assert packet[f"{transport}.checksum.status"] == GOOD
        assert packet["tcp.analysis.flags"] == ""
