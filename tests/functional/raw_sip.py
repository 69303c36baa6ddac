"""A SIP peer that says exactly what it is told, right or wrong.

It shares nothing with our SIP core: its messages are text, its reader is a dozen lines. So a
mistake that the core makes on both sides of a call does not hide here.

    async with RawPeer(server.sip) as peer:
        call = RawCall(peer, number)
        peer.send(call.invite())
        ringing = await peer.next(status=180)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

ANSWER_LIMIT_S = 10.0
QUIET_S = 0.4
"How long nothing must come to count as silence."

OPTIONS_LIMIT_S = 0.2

_SO_RCVBUFFORCE = 33
"socket(7): more than `net.core.rmem_max`, where we may."
_BUFFER_BYTES = 4 << 20

_numbers = itertools.count(1)

COMPACT = {"via": "v", "from": "f", "to": "t", "call-id": "i", "contact": "m"}

Header = tuple[str, str]


@dataclass(frozen=True)
class RawMessage:
    """A message as it came."""

    raw: bytes
    at: float
    "The loop's time of arrival."

    @property
    def lines(self) -> list[str]:
        """The start line and the header lines."""
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")

    @property
    def body(self) -> str:
        """What follows the headers."""
        return self.raw.partition(b"\r\n\r\n")[2].decode("latin-1")

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        words = self.lines[0].split(" ")
        return int(words[1]) if words[0] == "SIP/2.0" else 0

    @property
    def method(self) -> str:
        """Of a request, or of what a response answers."""
        return self.header("CSeq").split()[1] if self.status else self.lines[0].split(" ")[0]

    @property
    def uri(self) -> str:
        """Request-URI."""
        return self.lines[0].split(" ")[1]

    def headers(self, name: str) -> list[str]:
        """All lines of that name, each with all its values."""
        pairs = (line.partition(":") for line in self.lines[1:])
        wanted = {name.lower(), COMPACT.get(name.lower())}
        return [value.strip() for key, _, value in pairs if key.strip().lower() in wanted]

    def header(self, name: str) -> str:
        """The first line of that name; empty if there is none."""
        found = self.headers(name)
        return found[0] if found else ""

    @property
    def to_tag(self) -> str:
        """Tag of To."""
        return self.header("To").partition(";tag=")[2].partition(";")[0]

    @property
    def rtp(self) -> tuple[str, int]:
        """Where the SDP wants RTP."""
        host = re.search(r"^c=IN IP4 (\S+)", self.body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", self.body, re.MULTILINE)
        assert host, self.body
        assert port, self.body
        return host[1], int(port[1])


class RawPeer:
    """
    One UDP socket or one TCP connection to the server.

    Args:
        server: `HOST:PORT`.
        transport: `"udp"` or `"tcp"`.
        host: Our own address.
    """

    def __init__(self, server: str, transport: str = "udp", host: str = "127.0.0.1") -> None:
        name, _, port = server.rpartition(":")
        self.server = (name, int(port))
        self.transport = transport
        self.host = host
        self.port = 0
        self.received: list[RawMessage] = []
        "Everything that came, in order."
        self.closed = asyncio.Event()
        "Set when the server closed the connection."
        self._unread: list[RawMessage] = []
        self._came = asyncio.Event()
        self._stream = b""
        self._wire: Any = None
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        """Open it."""
        if self.transport == "udp":
            wire, _ = await self._loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self.host, 0)
            )
        else:
            wire, _ = await self._loop.create_connection(
                lambda: _Stream(self), *self.server, local_addr=(self.host, 0)
            )
        self._wire = wire
        with contextlib.suppress(OSError):
            # Thousands of answers may wait while the machine does something else.
            wire.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES
            )
        self.port = wire.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self._wire.close()

    def send(self, data: bytes | str) -> None:
        """Send one datagram, or append to the stream."""
        raw = data.encode("latin-1") if isinstance(data, str) else data
        if self.transport == "udp":
            self._wire.sendto(raw, self.server)
        elif not self._wire.is_closing():
            self._wire.write(raw)

    def hang_up_connection(self) -> None:
        """Lose the TCP connection."""
        self._wire.abort()

    async def next(
        self, within_s: float = ANSWER_LIMIT_S, *, status: int = 0, method: str = "", call: str = ""
    ) -> RawMessage:
        """
        The oldest message that matches and was not returned before; others stay.

        Args:
            within_s: How long to wait for it.
            status: Of a response; any message if 0.
            method: Of a request, or of what is answered.
            call: Its Call-ID.
        """

        def matches(one: RawMessage) -> bool:
            return (
                (not status or one.status == status)
                and (not method or (one.method == method and bool(one.status) == bool(status)))
                and (not call or one.header("Call-ID") == call)
            )

        return await self._first(matches, within_s, f"{status or ''} {method}")

    async def final(
        self, method: str = "INVITE", within_s: float = ANSWER_LIMIT_S, *, cseq: int = 0
    ) -> RawMessage:
        """The next final response to `method`, or to the one request with `cseq`."""

        def matches(one: RawMessage) -> bool:
            ends = f"{cseq} {method}" if cseq else method
            return one.status >= 200 and one.header("CSeq").endswith(ends)

        return await self._first(matches, within_s, f"final answer to {method}")

    async def _first(
        self, matches: Callable[[RawMessage], bool], within_s: float, wanted: str
    ) -> RawMessage:
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for one in self._unread:
                        if matches(one):
                            self._unread.remove(one)
                            return one
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            story = [one.lines[0] for one in self.received]
            raise AssertionError(f"no {wanted} came, but {story}") from None

    async def answer_to(self, request: str | bytes, method: str) -> RawMessage:
        """Send a request; return its final response."""
        self.send(request)
        return await self.final(method)

    async def quiet(self, for_s: float = QUIET_S) -> None:
        """Nothing comes for so long."""
        count = len(self.received)
        await asyncio.sleep(for_s)
        assert [one.lines[0] for one in self.received[count:]] == []

    async def options(self) -> RawMessage:
        """Ask whether the server is there."""
        call = RawCall(self, "+6500000000")
        self.send(call.request("OPTIONS", cseq=1))
        return await self.next(status=200, method="OPTIONS", call=call.call_id)

    def take(self, raw: bytes) -> None:
        """What the sockets tell."""
        message = RawMessage(raw, self._loop.time())
        self.received.append(message)
        self._unread.append(message)
        self._came.set()

    def feed(self, data: bytes) -> None:
        """Cut the stream into messages."""
        self._stream += data
        while True:
            self._stream = self._stream.lstrip(b"\r\n")
            head, end, rest = self._stream.partition(b"\r\n\r\n")
            if not end:
                return
            found = re.search(rb"^Content-Length: *(\d+)", head, re.MULTILINE | re.IGNORECASE)
            length = int(found[1]) if found else 0
            if len(rest) < length:
                return
            self._stream = rest[length:]
            self.take(head + end + rest[:length])


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, peer: RawPeer) -> None:
        self._peer = peer

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._peer.take(data)

    def error_received(self, exc: Exception) -> None:
        pass


class _Stream(asyncio.Protocol):
    def __init__(self, peer: RawPeer) -> None:
        self._peer = peer

    def data_received(self, data: bytes) -> None:
        self._peer.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer.closed.set()


def sdp(port: int = 40_000, *, host: str = "127.0.0.1", formats: str = "0 8 101", more: str = "",
        version: int = 1) -> str:  # fmt: skip
    """A plain offer or answer; `more` are lines for its end."""
    return (
        f"v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n{more}"
    )


class RawCall:
    """
    The caller's side of a dialog: it writes requests and remembers what they must repeat.

    Args:
        peer: By which it calls.
        number: Whom it calls.
    """

    def __init__(self, peer: RawPeer, number: str) -> None:
        self.peer = peer
        self.number = number
        self.call_id = f"{secrets.token_hex(6)}-{next(_numbers)}@raw"
        self.from_ = f"<sip:+6591234567@127.0.0.1>;tag={secrets.token_hex(4)}"
        self.to = f"<sip:{number}@127.0.0.1>"
        self.to_tag = ""
        self.target = f"sip:{number}@127.0.0.1"
        self.routes: list[str] = []
        self.cseq = 1
        self.invite_branch = new_branch()
        self.contact = f"<sip:raw@{peer.host}:{peer.port}>"

    def request(
        self,
        method: str,
        headers: Sequence[Header] = (),
        body: str = "",
        *,
        cseq: int | None = None,
        branch: str | None = None,
        content_type: str = "application/sdp",
        uri: str | None = None,
        instead: Sequence[Header] = (),
    ) -> str:
        """
        One request of this call.

        Args:
            method: Which.
            headers: More header lines.
            body: With its Content-Type.
            cseq: The next one if omitted.
            branch: A new one if omitted.
            content_type: Of the body.
            uri: Request-URI instead of the target.
            instead: Header lines that replace ours of that name; an empty value drops it.
        """
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        via = f"SIP/2.0/{self.peer.transport.upper()} {self.peer.host}:{self.peer.port}"
        lines = {
            "Via": f"{via};branch={branch or new_branch()};rport",
            "Max-Forwards": "70",
            "From": self.from_,
            "To": self.to + (f";tag={self.to_tag}" if self.to_tag else ""),
            "Call-ID": self.call_id,
            "CSeq": f"{cseq} {method}",
            "Contact": self.contact,
        }
        if body:
            lines["Content-Type"] = content_type
        lines["Content-Length"] = str(len(body.encode("latin-1")))
        lines.update(instead)
        pairs = [(name, value) for name, value in lines.items() if value]
        pairs += [("Route", route) for route in self.routes]
        pairs += headers
        head = [f"{method} {uri or self.target} SIP/2.0", *(f"{n}: {v}" for n, v in pairs)]
        return "\r\n".join(head) + "\r\n\r\n" + body

    def invite(
        self, headers: Sequence[Header] = (), body: str | None = None, **more: Any
    ) -> str:  # fmt: skip
        """The INVITE; the same one again while nothing answered it."""
        given = {"cseq": 1, "branch": self.invite_branch, **more}
        return self.request("INVITE", headers, sdp() if body is None else body, **given)

    def cancel(self) -> str:
        """Give the INVITE up."""
        return self.request("CANCEL", cseq=1, branch=self.invite_branch)

    def take(self, answer: RawMessage) -> None:
        """Learn the dialog of a response to the INVITE."""
        self.to_tag = answer.to_tag
        contact = answer.header("Contact")
        if contact:
            self.target = contact.partition("<")[2].partition(">")[0]
        self.routes = [
            value.strip() for line in answer.headers("Record-Route") for value in line.split(",")
        ][::-1]

    def ack(self, body: str = "", *, cseq: int = 1) -> str:
        """The ACK of a 200."""
        return self.request("ACK", (), body, cseq=cseq)

    def ack_refusal(self, answer: RawMessage) -> str:
        """The ACK of a 300 to 699."""
        return self.request(
            "ACK", cseq=1, branch=self.invite_branch, instead=[("To", answer.header("To"))]
        )

    def reply(self, request: RawMessage, status: int = 200, headers: Sequence[Header] = ()) -> str:
        """Answer a request of the server."""
        names = ("Via", "From", "To", "Call-ID", "CSeq")
        kept = [(name, value) for name in names for value in request.headers(name)]
        lines = [f"SIP/2.0 {status} Whatever", *(f"{n}: {v}" for n, v in [*kept, *headers])]
        return "\r\n".join([*lines, "Content-Length: 0", "", ""])


def new_branch() -> str:
    """A branch of RFC 3261."""
    return f"z9hG4bK{secrets.token_hex(6)}"


class Watch:
    """
    Asks OPTIONS again and again, from a thread of its own, and notes how long each answer took.

    Args:
        server: `HOST:PORT`.
    """

    def __init__(self, server: str) -> None:
        name, _, port = server.rpartition(":")
        self._server = (name, int(port))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_forever, daemon=True)
        self.delays_s: list[float] = []
        self.unanswered = 0

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def percentile(self, share: float) -> float:
        """The delay that this share of the answers did not exceed, in seconds."""
        ordered = sorted(self.delays_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def check(self) -> None:
        """Every OPTIONS was answered, and all but a noisy machine's few within 200 ms."""
        assert self.unanswered == 0
        assert self.delays_s
        assert self.percentile(0.9) < OPTIONS_LIMIT_S
        assert max(self.delays_s) < 5 * OPTIONS_LIMIT_S

    def _ask_forever(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(2)
            port = sock.getsockname()[1]
            while not self._over.wait(0.03):
                branch = new_branch()
                ask = (
                    f"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n"
                    f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch={branch};rport\r\n"
                    f"From: <sip:w@127.0.0.1>;tag=w\r\nTo: <sip:x@127.0.0.1>\r\n"
                    f"Call-ID: {branch}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
                    "Content-Length: 0\r\n\r\n"
                )
                started = time.perf_counter()
                sock.sendto(ask.encode(), self._server)
                try:
                    while branch.encode() not in (answer := sock.recv(65535)):
                        pass
                except TimeoutError:
                    self.unanswered += 1
                    continue
                assert answer.startswith(b"SIP/2.0 200 ")
                self.delays_s.append(time.perf_counter() - started)
