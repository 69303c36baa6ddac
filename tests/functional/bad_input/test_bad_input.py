"""Malformed and hostile SIP from somebody who may call: no traceback, no stall, no harm.

After each attack the server must answer OPTIONS at once, its database hold exactly the calls
that really were calls, and a caller be recorded as ever (`conftest`).
"""

from __future__ import annotations

import asyncio
import random
import secrets
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.bad_input.aftermath import (
    SEED,
    count_rows,
    count_sessions,
    no_calls_left,
    rang,
)
from tests.functional.calls import LENGTH_TOLERANCE_MS, decode, length_ms, ringing
from tests.functional.raw_sip import RawCall, RawPeer, Watch, new_branch, sdp
from tests.harness import Application, ServerProcess
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.usefixtures("still_records"),
]

TORTURE = sorted((Path(__file__).parents[2] / "data" / "sip").glob("*.sip"))


def _malformed(call: RawCall) -> dict[str, bytes]:
    """Messages that are broken in one way each; some are calls all the same."""
    chance = random.Random(SEED)

    def fresh(**more: Any) -> str:
        call.call_id = f"{secrets.token_hex(8)}@bad"
        call.invite_branch = new_branch()
        return call.invite(**more)

    def without(name: str) -> str:
        return fresh(instead=[(name, "")])

    def with_(name: str, value: str) -> str:
        return fresh(instead=[(name, value)])

    def headed(line: str) -> str:
        return fresh().replace("Max-Forwards", f"{line}\r\nMax-Forwards", 1)

    body = sdp()
    texts = {
        **{f"no {name}": without(name) for name in
           ("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Type")},
        **{f"Content-Length {value}": with_("Content-Length", value) for value in
           ("-1", "99999999999999999999", "1e3", "0x10", "", " ", "65536", "12, 13", "1" * 5000)},
        "two Content-Lengths": headed("Content-Length: 5"),
        "CSeq too large": with_("CSeq", "4294967296 INVITE"),
        "CSeq of huge length": with_("CSeq", "9" * 8000 + " INVITE"),
        "CSeq of another method": with_("CSeq", "1 BYE"),
        "CSeq alone": with_("CSeq", "INVITE"),
        "method of 10 KB": fresh().replace("INVITE", "I" * 10_000),
        "URI of 20 KB": fresh(uri="sip:" + "9" * 20_000 + "@x"),
        "URI with blanks": fresh(uri="sip:a b@c d"),
        "URI empty": fresh(uri="sip:"),
        "URI of NULs": fresh(uri="sip:\0\0@\0"),
        "URI escaped badly": fresh(uri="sip:%zz%@%"),
        "URI with port 99999": fresh(uri="sip:6531580000@127.0.0.1:99999"),
        "URI of broken IPv6": fresh(uri="sip:6531580000@[::1"),
        "tel without digits": fresh(uri="tel:"),
        "start line alone": fresh().partition("\r\n")[0],
        "start line and blank": fresh().partition("\r\n")[0] + "\r\n\r\n",
        "no blank line": fresh().partition("\r\n\r\n")[0],
        "cut in a header": fresh()[:150],
        "other version": fresh().replace("SIP/2.0\r\n", "SIP/7.0\r\n", 1),
        "lower-case version": fresh().replace("SIP/2.0\r\n", "sip/2.0\r\n", 1),
        "no version": fresh().replace(" SIP/2.0\r\n", "\r\n", 1),
        "line without colon": headed("this is no header"),
        "empty name": headed(": value"),
        "name with blanks": headed("A b c: d"),
        "folding at the start": fresh().replace("\r\n", "\r\n folded", 1),
        "5,000 lines": headed("\r\n".join(f"X-{i}: y" for i in range(5000))),
        "60 KB line": headed("X: " + "y" * 60_000),
        "30,000 Vias": with_("Via", "," * 30_000),
        "open quote": with_("From", '"open <sip:a@b>;tag=1'),
        "open bracket": with_("From", "<sip:a@b;tag=1"),
        "backslashes": with_("From", '"' + "\\" * 9999 + '" <sip:a@b>;tag=1'),
        "From without tag": with_("From", "<sip:a@b>"),
        "From of NULs": with_("From", "\0\0\0;tag=\0"),
        "From with half a UTF-8": with_("From", '"\xe5\xbc" <sip:\xff\xfe@b>;tag=\xc3'),
        "two Froms": headed("From: <sip:other@b>;tag=2"),
        "two Call-IDs": headed("Call-ID: other"),
        "Via of another protocol": with_("Via", "HTTP/1.1/TCP x;branch=z9hG4bK1"),
        "Via with port 0": with_("Via", "SIP/2.0/UDP 127.0.0.1:0;branch=z9hG4bKx1"),
        "Via with port 99999": with_("Via", "SIP/2.0/UDP 127.0.0.1:99999;branch=z9hG4bKx2"),
        "Via without branch": with_("Via", "SIP/2.0/UDP 127.0.0.1:5060"),
        "Via with rport lies": with_("Via", "SIP/2.0/UDP 1.1;rport=x;received=y;branch=z9hG4bKx"),
        "Contact star": with_("Contact", "*"),
        "Contact garbage": with_("Contact", "<<>>\"\";,,"),
        "Max-Forwards -1": with_("Max-Forwards", "-1"),
        "Require commas": headed("Require: ,,,,"),
        "Session-Expires nonsense": headed("Session-Expires: -5;refresher=x\r\nSupported: timer"),
        "Record-Route garbage": headed("Record-Route: <,>;;\"\r\nRecord-Route: sip:\0"),
        "Content-Type garbage": with_("Content-Type", "///;;;===\"") ,
        "Content-Encoding bomb": headed("Content-Encoding: gzip, gzip, gzip"),
        "multipart without end": fresh(
            body="--b\r\n" * 500, content_type="multipart/mixed;boundary=b"
        ),
        "multipart without boundary": fresh(body=body, content_type="multipart/mixed"),
        "SDP of one letter": fresh(body="v"),
        "SDP garbage": fresh(body="v=0\r\nm=\r\n=\r\nc=\r\na\r\n"),
        "SDP without c": fresh(body=body.replace("c=IN IP4 127.0.0.1\r\n", "")),
        "SDP with port 99999": fresh(body=sdp(99_999)),
        "SDP with port -1": fresh(body=sdp(-1)),
        "SDP of 3,000 streams": fresh(body=body + "m=audio 9 RTP/AVP 0\r\n" * 2500),
        "SDP of 9,000 formats": fresh(body=sdp(formats=" ".join(["0"] * 9000))),
        "SDP with NULs": fresh(body=body.replace("s=-", "s=\0\0")),
        "response": "SIP/2.0 200 OK\r\n" + fresh().partition("\r\n")[2],
        "response 9999": "SIP/2.0 9999 Too much\r\n" + fresh().partition("\r\n")[2],
        "response abc": "SIP/2.0 abc\r\n\r\n",
        "an HTTP request": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "UTF-16": fresh().encode("utf-16").decode("latin-1"),
    }  # fmt: skip
    messages = {name: text.encode("latin-1") for name, text in texts.items()}
    for size in (1, 11, 200, 1400, 8000):
        messages[f"{size} random bytes"] = chance.randbytes(size)
    messages["TLS"] = bytes.fromhex("160301020001fc0303") + chance.randbytes(500)
    messages["RTP"] = struct.pack("!BBHII", 0x80, 0, 1, 2, 3) + bytes(160)
    messages["NULs"] = bytes(3000)
    messages["line ends"] = b"\r\n" * 3000
    messages["largest datagram"] = chance.randbytes(65_507)
    return messages


async def test_malformed_sip_by_udp(server: ServerProcess, app: Application) -> None:
    """80 broken messages: each refused, dropped or taken for what it is; calls are counted."""
    async with RawPeer(server.sip) as peer:
        messages = _malformed(RawCall(peer, app.number))
        assert len(messages) > 80
        with Watch(server.sip) as watch:
            for data in messages.values():
                peer.send(data)
                # A pace, so that the kernel's buffer drops none.
                await asyncio.sleep(0.01)
            await peer.options()
            await no_calls_left(app)
        watch.check()
        assert count_sessions(server, app) == len(rang(peer))
        assert any(one.status == 400 for one in peer.received)


async def test_malformed_sip_by_tcp(server: ServerProcess, app: Application) -> None:
    """The same on a connection each: what cannot be framed closes it, and it alone."""
    async with RawPeer(server.sip, "tcp") as bystander:
        peers = []
        with Watch(server.sip) as watch:
            template = RawCall(bystander, app.number)
            for data in _malformed(template).values():
                peer = await RawPeer(server.sip, "tcp").__aenter__()
                peers.append(peer)
                peer.send(data)
            # Broken messages have no answer to wait for; they must hurt nobody meanwhile.
            await asyncio.sleep(0.5)
            await bystander.options()
            for peer in peers:
                peer.hang_up_connection()
            await no_calls_left(app)
        watch.check()
        assert not bystander.closed.is_set()
        assert count_sessions(server, app) == len(rang(*peers))


async def test_torture_messages(server: ServerProcess, app: Application) -> None:
    """RFC 4475's messages by UDP and TCP: none is a call to a number of ours."""
    before = count_rows(server)
    assert len(TORTURE) >= 49
    with Watch(server.sip) as watch:
        async with RawPeer(server.sip) as peer:
            for path in TORTURE:
                peer.send(path.read_bytes())
                async with RawPeer(server.sip, "tcp") as stream:
                    stream.send(path.read_bytes())
                    # A pace: nothing answers what cannot be read.
                    await asyncio.sleep(0.005)
            await peer.options()
            assert len(peer.received) > len(TORTURE) // 2
    watch.check()
    assert count_rows(server) == before


async def test_streams_are_cut_where_they_should(server: ServerProcess, app: Application) -> None:
    """Split after each byte, pipelined, with keep-alives between, or broken off: all understood."""
    async with RawPeer(server.sip, "tcp") as slow, RawPeer(server.sip, "tcp") as quick:
        call = RawCall(slow, app.number)
        with Watch(server.sip) as watch:
            for byte in call.invite().encode("latin-1"):
                slow.send(bytes([byte]))
                # Slowness is what is tested.
                await asyncio.sleep(0.001)
            await slow.next(status=180)
        watch.check()
        other = RawCall(quick, app.number)
        options = [RawCall(quick, "+6500000000").request("OPTIONS", cseq=1) for _ in range(50)]
        quick.send("\r\n\r\n".join([other.invite(), *options, other.cancel()]))
        for _ in options:
            await quick.next(status=200, method="OPTIONS")
        assert (await quick.next(status=200, method="CANCEL")).status == 200
        assert (await quick.final()).status == 487
        slow.send(call.cancel())
        assert (await slow.final()).status == 487
        await no_calls_left(app)
    for cut in (1, 100, 400):
        async with RawPeer(server.sip, "tcp") as gone:
            gone.send(RawCall(gone, app.number).invite()[:cut])
    # A body that is longer than it says: the rest is no message, and ends the connection.
    async with RawPeer(server.sip, "tcp") as liar:
        lie = RawCall(liar, app.number).invite(instead=[("Content-Length", "20")])
        liar.send(lie + "x" * 40_000)
        await asyncio.wait_for(liar.closed.wait(), 10)
    assert count_sessions(server, app) in (2, 3)


async def test_many_idle_connections(server: ServerProcess) -> None:
    """Two hundred connections that say nothing, or half a message, stop nobody."""
    idle = [await RawPeer(server.sip, "tcp").__aenter__() for _ in range(200)]
    for peer in idle[::2]:
        peer.send("INVITE sip:x@y SIP/2.0\r\nVia: ")
    with Watch(server.sip) as watch:
        async with RawPeer(server.sip, "tcp") as one_more:
            await asyncio.wait_for(one_more.options(), 5)
    for peer in idle:
        peer.hang_up_connection()
    assert watch.unanswered == 0


def _mutated(data: bytes, chance: random.Random) -> bytes:
    """One to three small injuries."""
    raw = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(raw))
        length = chance.choice((1, 1, 2, 5, 20))
        lines = bytes(raw).split(b"\r\n")
        match chance.randrange(9):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + length]
            case 2:
                raw[at:at] = raw[at : at + length * 4]
            case 3:
                raw[at:at] = chance.randbytes(length)
            case 4:
                del lines[chance.randrange(len(lines))]
                raw = bytearray(b"\r\n".join(lines))
            case 5:
                chance.shuffle(lines)
                raw = bytearray(b"\r\n".join(lines))
            case 6:
                raw = raw[: max(1, at)]
            case 7:
                raw[at : at + 1] = chance.choice([b"\0", b"\r\n", b'"', b"<", b";", b"%", b"\xff"])
            case _:
                old, new = chance.choice(
                    [(b"1", b"99999999999"), (b"SIP/2.0", b"SIP/3"), (b": ", b":"), (b"tag=", b""),
                     (b"sip:", b"tel:"), (b"127.0.0.1", b"[::"), (b"INVITE", b"BYE"),
                     (b"m=", b"n=")]
                )  # fmt: skip
                raw = bytearray(bytes(raw).replace(old, new))
        raw = raw or bytearray(b"x")
    return bytes(raw)


FUZZED_CALLS = 800


def _fuzzed(peer: RawPeer, number: str) -> Iterator[bytes]:
    """Five messages a call, nine of ten damaged; CANCEL and BYE a good while after the INVITE."""
    chance = random.Random(SEED)
    calls = [RawCall(peer, number) for _ in range(FUZZED_CALLS)]

    def damaged(text: str) -> bytes:
        data = text.encode("latin-1")
        return data if chance.random() < 0.1 else _mutated(data, chance)

    for index, call in enumerate(calls):
        yield damaged(call.invite())
        yield damaged(RawCall(peer, number).request("OPTIONS", cseq=1))
        older = calls[index - 200]
        yield damaged(older.cancel())
        yield damaged(older.request("ACK", cseq=1, branch=older.invite_branch))
        yield damaged(older.request("BYE"))


@pytest.mark.slow
async def test_four_thousand_fuzzed_datagrams(server: ServerProcess, app: Application) -> None:
    """OPTIONS is answered meanwhile, a call is recorded through it, and only calls are stored."""
    code = tone_code.encode_seconds(0, 5)
    sent = 0
    async with Application(server) as other, Phone() as phone, RawPeer(server.sip) as peer:
        call, session = await ringing(other, phone)
        await other.record(session)
        await call.answered()
        began = await call.media.beep_ended()
        spoken = call.media.say(code)
        with Watch(server.sip) as watch:
            for data in _fuzzed(peer, app.number):
                peer.send(data[:65_000])
                sent += 1
                if sent % 8 == 0:
                    # A pace, so that the kernel's buffer drops none.
                    await asyncio.sleep(0.01)
            await spoken
            pressed_at = await call.media.press("#")
            told = await other.told(ivr_block="record")
            call.hang_up()
            await no_calls_left(app, 20)
        samples = decode(await other.fetch(told.body["record_url"]))
        taken = rang(peer)
    assert sent == 5 * FUZZED_CALLS == 4000
    watch.check()
    assert abs(length_ms(samples) - (pressed_at - began) * 1000) <= 2 * LENGTH_TOLERANCE_MS
    heard = tone_code.decode_seconds(samples)
    expected = tone_code.expected_seconds(0, 5, starts_at_ms=heard[0].starts_at_ms)
    assert tone_code.explain(heard, expected) == []
    assert len(taken) > FUZZED_CALLS // 10
    # Where an injured Via names another port, the 180 goes there: nobody has seen that one.
    assert 0 <= count_sessions(server, app) - len(taken) <= FUZZED_CALLS // 100


@pytest.mark.parametrize("late_offer", [False, True])
async def test_fuzzed_requests_inside_a_dialog(
    server: ServerProcess, app: Application, late_offer: bool
) -> None:
    """400 damaged re-INVITEs, UPDATEs, INFOs, PRACKs and ACKs: the call still ends well."""
    chance = random.Random(SEED)
    async with RawPeer(server.sip) as peer:
        call = RawCall(peer, app.number)
        peer.send(call.invite(body="" if late_offer else sdp()))
        session = (await app.told(ivr_block="answer")).body["session"]
        await app.record(session)
        call.take(await peer.next(status=200, method="INVITE"))
        peer.send(call.ack(sdp() if late_offer else ""))
        await peer.options()
        with Watch(server.sip) as watch:
            for index in range(80):
                offer = sdp(version=index + 2, more=f"a={chance.choice(['sendonly', 'inactive'])}")
                for method, body in (
                    ("INVITE", chance.choice([offer, ""])),
                    ("UPDATE", chance.choice([offer, ""])),
                    ("INFO", "Signal=#"),
                    ("PRACK", ""),
                ):
                    text = call.request(method, [("RAck", "1 1 INVITE")], body)
                    data = text.encode("latin-1").replace(b"BYE", b"")
                    peer.send(data if chance.random() < 0.2 else _mutated(data, chance))
                ack = call.request("ACK", (), chance.choice([offer, ""]), cseq=call.cseq - 3)
                peer.send(_mutated(ack.encode("latin-1"), chance))
                # A pace, so that the kernel's buffer drops none.
                await asyncio.sleep(0.01)
        watch.check()
        await app.block("ivr/end/hangup", session, force="enabled")
        told = await app.told(ivr_block="record")
        assert told.body["call_state"] == "ended"
    await no_calls_left(app)
    assert count_sessions(server, app) == 1


# Linear time

KB_32 = 32_000
KB_60 = 60_000
HOSTILE: dict[str, Callable[[int], tuple[str, str]]] = {
    "tel From": lambda n: ("From", "tel:" + "1-" * (n // 2)),
    "open brackets": lambda n: ("From", "<" * n),
    "quotes": lambda n: ("From", '"' * n),
    "escaped quotes": lambda n: ("From", '"' + '\\"' * (n // 2)),
    "parameters": lambda n: ("From", "<sip:a@b>" + ";a=b" * (n // 4)),
    "semicolons": lambda n: ("To", "<sip:a@b>" + ";" * n),
    "Via commas": lambda n: ("Via", "SIP/2.0/UDP a," * (n // 14)),
    "Via parameters": lambda n: ("Via", "SIP/2.0/UDP a" + ";a" * (n // 2)),
    "Via blanks": lambda n: ("Via", "SIP/2.0/UDP" + " " * n),
    "Contact": lambda n: ("Contact", "<sip:a@b>," * (n // 10)),
    "Record-Route": lambda n: ("Record-Route", "<sip:a@b;lr>," * (n // 13)),
    "Require": lambda n: ("Require", "a," * (n // 2)),
    "Supported": lambda n: ("Supported", "," * n),
    "digits": lambda n: ("CSeq", "0" * n + "1 INVITE"),
    "folded": lambda n: ("Subject", "\r\n " * (n // 3) + "x"),
    "blanks": lambda n: ("Subject", " " * n + "x"),
    "URI escapes": lambda n: ("From", "<sip:" + "%41" * (n // 3) + "@b>;tag=1"),
    "URI parameters": lambda n: ("Contact", "<sip:a@b" + ";a=1" * (n // 4) + ">"),
    "boundary": lambda n: ("Content-Type", "multipart/mixed;boundary=" + "-" * n),
    "Session-Expires": lambda n: ("Session-Expires", "1" * n),
    "Call-ID": lambda n: ("Call-ID", "(" * n),
    "many lines": lambda n: ("X", "y" + "\r\nX: y" * (n // 6)),
}


async def test_hostile_headers_cost_linear_time(server: ServerProcess, app: Application) -> None:
    """A header of 32 or 60 KB, of every shape: the OPTIONS behind it waits no 100 ms."""
    slow = {}
    async with RawPeer(server.sip) as peer:
        for size in (KB_32 - 1200, KB_60):
            for name, build in HOSTILE.items():
                waits = []
                # What is slow by itself is slow each time; the machine is not.
                for _ in range(8):
                    call = RawCall(peer, app.number)
                    peer.send(call.invite(instead=[build(size)]))
                    started = asyncio.get_running_loop().time()
                    await peer.options()
                    waits.append(asyncio.get_running_loop().time() - started)
                    if waits[-1] < 0.05:
                        break
                if min(waits) > 0.1:
                    slow[name, size] = min(waits)
        await no_calls_left(app)
        assert count_sessions(server, app) == len(rang(peer))
    assert slow == {}
