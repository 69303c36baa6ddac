"""A client that registers, for tests of registrars."""

from __future__ import annotations

import asyncio
from typing import Any

from voiceblocks.sip.digest import strongest_challenge
from voiceblocks.sip.message import SipResponse, parse_message

LIMIT_S = 5.0


class RegisterClient(asyncio.DatagramProtocol):
    """
    Sends REGISTER with its own few lines, independent of our core.

    Args:
        target: `HOST:PORT` of the registrar.
        contact: URI that it registers.
        username: Of the address of record and the credentials.
    """

    def __init__(self, target: str, contact: str, username: str) -> None:
        self.target = target
        self.contact = contact
        self.username = username
        self.transport: asyncio.DatagramTransport
        self.answers: asyncio.Queue[SipResponse] = asyncio.Queue()
        self._sequence = 0

    @classmethod
    async def open(cls, target: str, contact: str, username: str = "user") -> RegisterClient:
        """Take a free port."""
        host, _, port = target.rpartition(":")
        transport, client = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: cls(target, contact, username), remote_addr=(host, int(port))
        )
        client.transport = transport
        return client

    def close(self) -> None:
        """Close its port."""
        self.transport.close()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        message = parse_message(data)
        assert isinstance(message, SipResponse)
        self.answers.put_nowait(message)

    def request(self, sequence: int, authorization: str, expires_s: int) -> bytes:
        """One REGISTER."""
        host, port = self.transport.get_extra_info("sockname")
        lines = [
            f"REGISTER sip:{self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{port}x{sequence};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.username}@{self.target}>;tag=1",
            f"To: <sip:{self.username}@{self.target}>",
            f"Call-ID: registers-{port}",
            f"CSeq: {sequence} REGISTER",
            f"Contact: <{self.contact}>",
            f"Expires: {expires_s}",
            *([f"Authorization: {authorization}"] if authorization else []),
            "Content-Length: 0",
            "",
            "",
        ]
        return "\r\n".join(lines).encode()

    async def send(self, data: bytes) -> SipResponse:
        """Send it and return what comes back."""
        self.transport.sendto(data)
        async with asyncio.timeout(LIMIT_S):
            return await self.answers.get()

    async def register(self, password: str, expires_s: int) -> SipResponse:
        """Register, answering one challenge; returns the last answer."""
        self._sequence += 2
        challenged = await self.send(self.request(self._sequence, "", expires_s))
        if challenged.status != 401:
            return challenged
        challenge = strongest_challenge(challenged.headers.get_all("WWW-Authenticate"))
        assert challenge is not None
        authorization = challenge.authorization(
            username=self.username, password=password, method="REGISTER", uri=f"sip:{self.target}",
            body=b"", cnonce="abc",
        )  # fmt: skip
        return await self.send(self.request(self._sequence + 1, authorization, expires_s))
