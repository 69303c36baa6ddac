"""Messages between our processes: msgpack structs on Unix SOCK_SEQPACKET pairs.

One packet is one message, so there is no framing; file descriptors (the sockets
of a leg that moves, decision 14) ride along by SCM_RIGHTS. A child is started
with its end of the pair as a file descriptor number in `argv`, dies with its
parent, and must exit when the pair closes (decision 12).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

MAX_MESSAGE_BYTES = 200_000
MAX_FDS = 8

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_AUTOGROUP_ATTEMPTS = 10
_AUTOGROUP_PAUSE_S = 0.11

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""For NumPy in our children: their matrices are small, so threads only wait for each other
(measured: the tone detector takes 1.9 ms instead of 0.15 ms) and take cores from the media."""


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent goes (Linux only; else nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def set_niceness(niceness: int) -> None:
    """
    Set this child's priority; where less than 0 is not allowed, so be it. May sleep a moment.

    With autogroups (Linux desktops and Debian's servers) nice values count only within a
    session, and each child is alone in its own: there the session's has to be set.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    for _attempt in range(_AUTOGROUP_ATTEMPTS):
        try:
            Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")
        except BlockingIOError:
            # Without privileges one session in a tenth of a second may do it.
            time.sleep(_AUTOGROUP_PAUSE_S)
        except OSError:
            return
        else:
            return


def spawn(module: str, *arguments: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """
    Start `python -m module FD arguments…` with one end of a socket pair.

    Returns:
        The process, and our end of the pair (non-blocking, owned by the caller).

    Raises:
        OSError: When there is no process, memory or descriptor left.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603 (our own interpreter and modules)
                [sys.executable, "-m", module, str(theirs.fileno()), *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
                # A Ctrl-C at the terminal is the parent's to handle.
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
    ours.setblocking(False)
    return process, ours


def child_socket(argv: Sequence[str]) -> socket.socket:
    """The blocking socket that `spawn` handed to this child as the first argument."""
    die_with_parent()
    # Ctrl-C and TERM are the parent's to handle; the child ends when the pair closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sock = socket.socket(fileno=int(argv[1]))
    sock.setblocking(True)
    os.set_inheritable(sock.fileno(), False)
    return sock


class Channel(Generic[T]):
    """
    One blocking (or, after `setblocking(False)`, polling) end, for child processes.

    Args:
        sock: A SOCK_SEQPACKET socket; owned by the channel from now on.
        incoming: The (tagged union) type of messages that arrive here.
    """

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        self._sock = sock
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(incoming)
        self._encoder = msgspec.msgpack.Encoder()

    def fileno(self) -> int:
        """For `epoll` and friends."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Whether `receive` waits."""
        self._sock.setblocking(flag)

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Send one message; blocks while the other end is behind. `fds` stay ours to close."""
        data = self._encoder.encode(message)
        while True:
            try:
                if fds:
                    socket.send_fds(self._sock, [data], list(fds))
                else:
                    self._sock.send(data)
            except BlockingIOError:
                _wait_writable(self._sock)
            else:
                return

    def try_send(self, message: Any, fds: Sequence[int] = ()) -> bool:
        """Send one message unless that would block; returns whether it went."""
        data = self._encoder.encode(message)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([data], rights, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def receive(self) -> tuple[T, list[int]] | None:
        """
        Return the next message with the descriptors that came along, now ours to close.

        Returns:
            `None` when the other end is gone.

        Raises:
            BlockingIOError: When non-blocking and nothing waits.
        """
        try:
            data, fds, _flags, _address = socket.recv_fds(self._sock, MAX_MESSAGE_BYTES, MAX_FDS)
        except ConnectionResetError:
            return None
        if not data:
            return None
        return self._decoder.decode(data), list(fds)

    def close(self) -> None:
        """Close our end."""
        self._sock.close()


def _wait_writable(sock: socket.socket) -> None:
    import select

    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    poller.poll()


class AsyncChannel(Generic[T]):
    """
    The control process's end of a pair, on the running asyncio loop.

    Never blocks: what the other end does not take at once is queued here, in order.

    Args:
        sock: Non-blocking SOCK_SEQPACKET socket; owned by the channel from now on.
        incoming: The (tagged union) type of messages that arrive here.
        on_message: Called with each message and its descriptors (ours to close).
        on_closed: Called once when the other end is gone.
    """

    def __init__(
        self,
        sock: socket.socket,
        incoming: Any,
        on_message: Callable[[T, list[int]], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(incoming)
        self._encoder = msgspec.msgpack.Encoder()
        self._on_message = on_message
        self._on_closed = on_closed
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def is_open(self) -> bool:
        """Whether the other end was there when we last looked."""
        return self._open

    @property
    def backlog(self) -> int:
        """Messages that the other end has not taken yet."""
        return len(self._waiting)

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Queue one message. Descriptors are duplicated: the caller keeps its own."""
        if not self._open:
            return
        entry = (self._encoder.encode(message), [os.dup(fd) for fd in fds])
        self._waiting.append(entry)
        if len(self._waiting) == 1:
            self._flush()

    def close(self) -> None:
        """Close our end; `on_closed` is not called."""
        if self._open:
            self._shut()

    def _flush(self) -> None:
        while self._waiting:
            data, fds = self._waiting[0]
            try:
                if fds:
                    socket.send_fds(self._sock, [data], fds)
                else:
                    self._sock.send(data)
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:
                self._lost()
                return
            self._waiting.popleft()
            for fd in fds:
                os.close(fd)
        self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        while self._open:
            try:
                data, fds, _flags, _address = socket.recv_fds(
                    self._sock, MAX_MESSAGE_BYTES, MAX_FDS
                )
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._lost()
                return
            self._on_message(self._decoder.decode(data), list(fds))

    def _lost(self) -> None:
        if self._open:
            self._shut()
            self._on_closed()

    def _shut(self) -> None:
        self._open = False
        self._loop.remove_reader(self._sock.fileno())
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_writer(self._sock.fileno())
        for _data, fds in self._waiting:
            for fd in fds:
                os.close(fd)
        self._waiting.clear()
        self._sock.close()
