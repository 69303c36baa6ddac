"""The far ends of many calls in one process, as cheap as can be: the load of a measurement.

    python -m voiceblocks.testing.load_generator --ports 30000,30002 --fd 7 --speech F --seconds 9

Sends 50 packets of speech a second to every port of loopback from one socket (sendmmsg, Linux
only), and throws away what comes back. Prints one line of JSON at the end: packets sent and
heard, and how late it was itself at most.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import socket
import sys
import time
from typing import Final

import numpy as np

PACKET_BYTES: Final = 172
PACKETS_PER_S: Final = 50
GROUPS: Final = 4
"Ports are served in so many groups, one after another, as callers are not in step either."

_SO_RCVBUFFORCE: Final = 33
_BUFFER_BYTES: Final = 16 << 20
_READ_AT_ONCE: Final = 1024


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iov_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


def open_socket() -> socket.socket:
    """A socket on loopback for a generator, with room for what comes back; the caller closes it."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
        with contextlib.suppress(PermissionError):
            opened.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    opened.bind(("127.0.0.1", 0))
    return opened


def command(ports: list[int], fd: int, speech: str, seconds: float) -> list[str]:
    """The command that generates; hand `fd` down to it."""
    listed = ",".join(map(str, ports))
    module = [sys.executable, "-m", "voiceblocks.testing.load_generator"]
    return [
        *module, "--ports", listed, "--fd", str(fd), "--speech", speech, "--seconds", str(seconds)
    ]  # fmt: skip


def generate(ports: list[int], fd: int, seconds: float, speech: str) -> dict[str, float]:
    """
    Send to every port for so long.

    Args:
        ports: Of loopback.
        fd: A bound UDP socket.
        seconds: How long.
        speech: A file of u-law samples at 8 kHz, said over and over.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    count = len(ports)
    packets = np.full((count, PACKET_BYTES), 0x55, np.uint8)
    spoken = np.fromfile(speech, np.uint8)
    spoken = spoken[: len(spoken) // 160 * 160].reshape(-1, 160)
    words = packets.view(">u4")
    words[:, 2] = np.arange(count) + 1
    names = np.frombuffer(b"".join(map(_sockaddr, ports)), np.uint8).copy()
    iovecs = (_Iovec * count)()
    outgoing = (_Mmsghdr * count)()
    for index in range(count):
        iovecs[index] = _Iovec(packets.ctypes.data + index * PACKET_BYTES, PACKET_BYTES)
        outgoing[index].header.name = names.ctypes.data + index * 16
        outgoing[index].header.name_length = 16
        outgoing[index].header.iov = ctypes.pointer(iovecs[index])
        outgoing[index].header.iov_count = 1
    sink = np.zeros(256, np.uint8)
    sink_iovec = _Iovec(sink.ctypes.data, 256)
    incoming = (_Mmsghdr * _READ_AT_ONCE)()
    for message in incoming:
        message.header.iov = ctypes.pointer(sink_iovec)
        message.header.iov_count = 1
    bounds = [count * group // GROUPS for group in range(GROUPS + 1)]
    start = time.monotonic()
    sent = heard = step = 0
    latest_s = 0.0
    while True:
        due = start + step / PACKETS_PER_S / GROUPS
        delay_s = due - time.monotonic()
        if delay_s > 0:
            time.sleep(delay_s)
        latest_s = max(latest_s, time.monotonic() - due)
        if due - start >= seconds:
            return {"sent": sent, "heard": heard, "generator_late_ms": round(latest_s * 1e3, 1)}
        first, end = bounds[step % GROUPS], bounds[step % GROUPS + 1]
        frame = step // GROUPS
        words[first:end, 0] = 0x80000000 | (frame & 0xFFFF)
        words[first:end, 1] = frame * 160
        packets[first:end, 12:] = spoken[frame % len(spoken)]
        while first < end:
            done = libc.sendmmsg(fd, ctypes.byref(outgoing[first]), end - first, 0)
            if done <= 0:
                break
            first += done
            sent += done
        while (got := libc.recvmmsg(fd, incoming, _READ_AT_ONCE, socket.MSG_DONTWAIT, None)) > 0:
            heard += got
        step += 1


def _sockaddr(port: int) -> bytes:
    """A sockaddr_in of loopback."""
    family = socket.AF_INET.to_bytes(2, sys.byteorder)
    return family + port.to_bytes(2, "big") + socket.inet_aton("127.0.0.1") + bytes(8)


def main() -> None:
    """Be the generator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ports", required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--speech", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    ports = [int(port) for port in options.ports.split(",")]
    told = generate(ports, options.fd, options.seconds, options.speech)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
