"""A call's SIP messages as a capture that Wireshark opens.

Classic libpcap with raw IP packets (LINKTYPE_RAW). Only the messages were kept, so the headers
around them are made anew: addresses and ports are the real ones; TCP has no handshake, and its
sequence numbers count the bytes of these messages. What was too long to be kept is a packet that
the capture cut, as with a snapshot length.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from typing import Final

from voiceblocks.stories.model import Address, SipMessage

_MAGIC_US: Final = 0xA1B2C3D4
_LINKTYPE_RAW: Final = 101
_SNAPLEN: Final = 0xFFFF
_UDP, _TCP = 17, 6
_PSH_ACK: Final = 0x18
_TTL: Final = 64
_LONGEST_PAYLOAD: Final = 0xFFFF - 60
"So that every header fits in front of it."

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def capture_of(messages: Iterable[SipMessage]) -> bytes:
    """
    Return the capture.

    Args:
        messages: In their order.
    """
    parts = [struct.pack("<IHHiIII", _MAGIC_US, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW)]
    streams = _Streams()
    for number, message in enumerate(messages):
        source, target = (
            (message.remote, message.local) if message.incoming else (message.local, message.remote)
        )
        size = min(max(message.size_bytes, len(message.data)), _LONGEST_PAYLOAD)
        data = message.data[:size]
        addresses = _same_family(source[0], target[0])
        if message.transport == "tcp":
            protocol = _TCP
            header = streams.header(source, target, size)
        else:
            protocol = _UDP
            header = struct.pack(">HHHH", source[1], target[1], 8 + size, 0)
        if len(data) == size:
            header = _with_checksum(addresses, protocol, header, data)
        packet = _ip_header(addresses, protocol, len(header) + size, number) + header + data
        seconds, us = divmod(message.at_us, 1_000_000)
        on_wire = len(packet) + size - len(data)
        parts += (struct.pack("<IIII", seconds & 0xFFFFFFFF, us, len(packet), on_wire), packet)
    return b"".join(parts)


class _Streams:
    """How far each direction of each TCP connection has come."""

    def __init__(self) -> None:
        self._next: dict[tuple[Address, Address], int] = {}

    def header(self, source: Address, target: Address, size: int) -> bytes:
        sequence = self._next.get((source, target), 1)
        self._next[source, target] = sequence + size
        acknowledged = self._next.get((target, source), 1)
        return struct.pack(
            ">HHIIBBHHH",
            source[1],
            target[1],
            sequence & 0xFFFFFFFF,
            acknowledged & 0xFFFFFFFF,
            5 << 4,
            _PSH_ACK,
            0xFFFF,
            0,
            0,
        )


def _same_family(source: str, target: str) -> tuple[_Ip, _Ip]:
    """Both addresses; where only one is IPv6, the other as an IPv6 address that stands for it."""
    first, second = _address(source), _address(target)
    if first.version == second.version:
        return first, second
    return _as_ipv6(first), _as_ipv6(second)


def _address(host: str) -> _Ip:
    try:
        return ipaddress.ip_address(host.partition("%")[0].strip("[]"))
    except ValueError:
        return ipaddress.IPv4Address(0)


def _as_ipv6(address: _Ip) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)


def _ip_header(addresses: tuple[_Ip, _Ip], protocol: int, length: int, number: int) -> bytes:
    source, target = addresses
    if source.version == 6:
        fixed = struct.pack(">IHBB", 6 << 28, length, protocol, _TTL)
        return fixed + source.packed + target.packed

    def header(checksum: int) -> bytes:
        return (
            struct.pack(
                ">BBHHHBBH",
                0x45,
                0,
                20 + length,
                number & 0xFFFF,
                0x4000,
                _TTL,
                protocol,
                checksum,
            )
            + source.packed
            + target.packed
        )

    return header(_checksum(header(0)))


def _with_checksum(addresses: tuple[_Ip, _Ip], protocol: int, header: bytes, data: bytes) -> bytes:
    source, target = addresses
    pseudo = (
        source.packed
        + target.packed
        + struct.pack(">IHBB", len(header) + len(data), 0, 0, protocol)
    )
    found = _checksum(pseudo + header + data) or 0xFFFF
    # Of UDP its last field, of TCP the one before the urgent pointer.
    at = 6 if protocol == _UDP else 16
    return header[:at] + struct.pack(">H", found) + header[at + 2 :]


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
