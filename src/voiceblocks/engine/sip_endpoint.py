"""The asyncio shell of the SIP core: one UDP socket, one TCP listener, one timer.

It contains no protocol decision. Everything in goes to the `UserAgent`, everything
that it wants to say goes out, its next deadline arms the single timer, and its
events go to `on_event` in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from voiceblocks.arrivals import Arrivals
from voiceblocks.clock import Clock
from voiceblocks.engine.local_address import advertised_host
from voiceblocks.engine.sip_stream import SipStream
from voiceblocks.errors import LocalSipError, StartupError
from voiceblocks.log import get_logger
from voiceblocks.randomness import hex_text
from voiceblocks.sip.events import Event
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.sip.user_agent import UserAgent, UserAgentConfig

T = TypeVar("T")

_log = get_logger("sip")

# A node on loopback takes bursts from load tests; the kernel caps what it does not allow.
SOCKET_BUFFER_BYTES = 4 << 20
CONNECT_LIMIT_S = 4.0
FREE_PORT_ATTEMPTS = 10


class SipObserver(Protocol):
    """Sees every message that comes and goes."""

    def on_message(self, data: bytes, flow: Flow, *, incoming: bool) -> None:
        """See one; must return at once and never raise."""
        ...


class SipEndpoint:
    """
    SIP over UDP and TCP on one port.

    Args:
        host: Address to bind; may be a wildcard.
        port: Port, or 0 for a free one.
        clock: Gives `now` to the core.
        guard: Decides whose messages are read at all (decision 9).
        public_address: What Contact says; empty for the local address towards each peer.
        on_event: Called with each event of the core, on the loop, never re-entered.
        observer: Sees every message; nobody if omitted.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        clock: Clock,
        guard: SourceGuard | None,
        public_address: str = "",
        user: str = "voiceblocks",
        on_event: Callable[[Event], None],
        observer: SipObserver | None = None,
    ) -> None:
        self._bind = (host, port)
        self._clock = clock
        self._guard = guard
        self._public_address = public_address
        self._on_event = on_event
        self._observer = observer
        self._user_agent = UserAgent(
            UserAgentConfig(
                contact_user=user, contact_host_port=self._contact, opens_connections=True
            ),
            random_text=hex_text,
            guard=guard,
        )
        self._udp: asyncio.DatagramTransport | None = None
        self._arrivals: Arrivals | None = None
        self._event_at: float | None = None
        self._tcp: asyncio.Server | None = None
        self._streams: dict[int, SipStream] = {}
        self._opening: dict[Flow, asyncio.Task[SipStream | None]] = {}
        self._next_connection = 1
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = False
        self._settled: asyncio.Event | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where we listen; the port is the real one."""
        return self._bind

    @property
    def user_agent(self) -> UserAgent:
        """The core, for its counters; commands go through `run`."""
        return self._user_agent

    @property
    def event_at(self) -> float:
        """
        When what is told by `on_event` now happened (monotonic seconds): the datagram's arrival.

        A loop that is busy reads a BYE late; the call was over when it came.
        """
        return self._clock.monotonic() if self._event_at is None else self._event_at

    async def start(self) -> None:
        """
        Bind both sockets.

        Raises:
            StartupError: If the port is taken.
        """
        host, port = self._bind
        # A port that is free for UDP may be taken for TCP: then another free one is tried.
        for attempts_left in reversed(range(1 if port else FREE_PORT_ATTEMPTS)):
            try:
                self._bind = (host, await self._listen(host, port))
            except OSError as error:
                await self.stop()
                if attempts_left:
                    continue
                raise StartupError(
                    f"SIP cannot listen on {host}:{port} ({error.strerror}). Is another server "
                    "running? Set VOICEBLOCKS_SIP_LISTEN to a free address."
                ) from error
            return

    async def _listen(self, host: str, port: int) -> int:
        """Bind UDP and TCP to the same port, any free one for 0; returns it."""
        self._udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self._datagram), local_addr=(host, port)
        )
        sock = self._udp.get_extra_info("socket")
        self._arrivals = Arrivals(sock)
        _enlarge_buffers(sock)
        port = sock.getsockname()[1]
        self._tcp = await asyncio.start_server(self._accept, host, port)
        return port

    async def stop(self) -> None:
        """Close all sockets; what the core still wanted to say is lost."""
        if self._timer is not None:
            self._timer.cancel()
        if self._tcp is not None:
            self._tcp.close()
        for opening in self._opening.values():
            opening.cancel()
        for stream in list(self._streams.values()):
            stream.close()
        if self._udp is not None:
            self._udp.close()
        await asyncio.sleep(0)

    async def settled(self, limit_s: float) -> bool:
        """Wait until no leg is left and all our requests are answered; `False`: not by then."""
        self._settled = asyncio.Event()
        self._flush()
        try:
            async with asyncio.timeout(limit_s):
                await self._settled.wait()
        except TimeoutError:
            return False
        finally:
            self._settled = None
        return True

    def run(self, command: Callable[[UserAgent, float], T]) -> T:
        """Give the core a command with the current time, and send what follows from it."""
        try:
            return command(self._user_agent, self._clock.monotonic())
        finally:
            self._flush()

    def try_run(self, command: Callable[[UserAgent, float], object]) -> bool:
        """Like `run`, for what may come too late in a dialog's life; says whether it was legal."""
        try:
            self.run(command)
        except LocalSipError as error:
            _log.debug("sip_command_too_late", reason=str(error))
            return False
        return True

    def flow_to(self, host: str, port: int, transport: str = "udp") -> Flow:
        """A UDP flow to a peer that has not spoken yet."""
        return Flow(transport, self._bind, (host, port))

    async def connect(self, host: str, port: int) -> Flow:
        """
        Open a TCP connection to a peer.

        Raises:
            OSError: If it cannot be reached.
        """
        reader, writer = await asyncio.open_connection(host, port)
        return self._open_stream(reader, writer).flow

    def advertised_host(self, remote: str) -> str:
        """Our address as Contact and From say it towards a peer."""
        return advertised_host(self._bind[0], self._public_address, remote)

    def _contact(self, flow: Flow) -> tuple[str, int]:
        return self.advertised_host(flow.remote[0]), self._bind[1]

    def _datagram(self, data: bytes, source: tuple[str, int]) -> None:
        if self._arrivals is not None:
            self._event_at = self._arrivals.last_s(self._clock.monotonic())
        try:
            self._message(data, Flow("udp", self._bind, source))
        finally:
            self._event_at = None

    def _step(self, step: Callable[[float], object]) -> None:
        """A step of the core. A fault of ours in one message or timer must not stop the rest."""
        try:
            step(self._clock.monotonic())
        except Exception:  # noqa: BLE001 (logged; the retransmissions of all calls hang on this)
            _log.exception("sip_core_failed")
        self._flush()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if self._guard is not None and not self._guard.is_known(peer[0]):
            writer.close()
            return
        self._open_stream(reader, writer)

    def _open_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> SipStream:
        number = self._next_connection
        self._next_connection += 1
        flow = Flow("tcp", self._bind, writer.get_extra_info("peername")[:2], number)
        stream = SipStream(flow, reader, writer, self._message, self._stream_closed)
        self._streams[number] = stream
        return stream

    def _message(self, data: bytes, flow: Flow) -> None:
        if self._observer is not None:
            self._observer.on_message(data, flow, incoming=True)
        self._step(lambda now: self._user_agent.receive_message(data, flow, now))

    def _stream_closed(self, flow: Flow) -> None:
        self._streams.pop(flow.connection, None)
        for asked, opening in list(self._opening.items()):
            if opening.done() and not opening.cancelled() and asked.remote == flow.remote:
                del self._opening[asked]
                self._user_agent.flow_closed(asked, self._clock.monotonic())
        self._step(lambda now: self._user_agent.flow_closed(flow, now))

    def _deadline(self) -> None:
        self._timer = None
        self._step(self._user_agent.handle_deadline)

    def _flush(self) -> None:
        """Send, dispatch events, re-arm the timer. Events may give commands: no recursion."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while True:
                for data, flow in self._user_agent.messages_to_send():
                    self._send(data, flow)
                event = self._user_agent.next_event()
                if event is None:
                    break
                try:
                    self._on_event(event)
                except Exception:  # noqa: BLE001 (what follows belongs to other calls)
                    _log.exception("sip_event_failed", sip_event=type(event).__name__)
        finally:
            self._flushing = False
        if self._settled is not None and self._user_agent.is_settled:
            self._settled.set()
        self._arm()

    def _send(self, data: bytes, flow: Flow) -> None:
        if self._observer is not None:
            self._observer.on_message(data, flow, incoming=False)
        if flow.transport == "tcp":
            stream = self._streams.get(flow.connection)
            if stream is not None:
                stream.send(data)
            elif flow.connection == 0:
                self._send_by_new_connection(data, flow)
        elif self._udp is not None and not self._udp.is_closing():
            try:
                self._udp.sendto(data, flow.remote)
            except (OSError, ValueError) as error:
                # uvloop raises for what is no address of this socket's family; the
                # transaction times out by itself, like one whose peer is gone.
                _log.info("sip_not_sent", error=type(error).__name__)

    def _send_by_new_connection(self, data: bytes, flow: Flow) -> None:
        """The core asks for a connection: the one of a dialog was lost (RFC 3261 18.1.1)."""
        opening = self._opening.get(flow)
        if opening is None:
            opening = asyncio.get_running_loop().create_task(self._reach(flow))
            self._opening[flow] = opening

        def connected(task: asyncio.Task[SipStream | None]) -> None:
            stream = None if task.cancelled() else task.result()
            if stream is not None:
                stream.send(data)

        opening.add_done_callback(connected)

    async def _reach(self, flow: Flow) -> SipStream | None:
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                opened = await self.connect(*flow.remote)
        except OSError as error:
            _log.info("sip_connection_failed", error=type(error).__name__)
            self._opening.pop(flow, None)
            self._user_agent.flow_closed(flow, self._clock.monotonic())
            self._flush()
            return None
        return self._streams.get(opened.connection)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._user_agent.next_deadline()
        if deadline is not None:
            delay_s = max(0.0, deadline - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._deadline)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._on_datagram = on_datagram

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._on_datagram(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """ICMP says that a peer is gone; its transactions time out by themselves."""
        _log.debug("sip_udp_error", error=type(exc).__name__)


def _enlarge_buffers(sock: Any) -> None:
    import socket

    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
