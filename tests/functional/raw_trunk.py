"""A carrier that answers our INVITEs exactly as it is told, right or wrong.

trunk = RawTrunk(server.sip, host="127.6.0.1")
async with Carrier(app, trunk) as carrier:
    await app.dial(carrier.number())
    invite = await trunk.next(method="INVITE")
    trunk.send(trunk.answer(invite, 200, body=sdp(trunk.port)))
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.functional.raw_sip import Header, RawMessage, RawPeer
from voiceblocks.testing.answering import Behaviour

CHALLENGE = 'Digest realm="carrier", nonce="5e7", qop="auth"'


class RawTrunk(RawPeer):
    """A raw peer as a `Carrier` takes it; its numbers do nothing by themselves."""

    @property
    def address(self) -> str:
        """Where the server finds it."""
        return f"{self.host}:{self.port}"

    def route(self, number: str, behaviour: Behaviour) -> None:
        """Every number is served by the test's hand."""

    def answer(
        self,
        request: RawMessage,
        status: int,
        headers: Sequence[Header] = (),
        body: str = "",
        *,
        tag: str = "far",
    ) -> str:
        """A response of this side to a request of the server."""
        lines = [f"SIP/2.0 {status} Whatever"]
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            lines += [f"{name}: {value}" for value in request.headers(name)]
        if status > 100 and not request.to_tag:
            lines = [f"{one};tag={tag}" if one.startswith("To:") else one for one in lines]
        lines += [f"{name}: {value}" for name, value in headers]
        lines.append(f"Contact: <sip:far@{self.address}>")
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body.encode('latin-1'))}")
        return "\r\n".join([*lines, "", body])

    async def challenged_bye(self, bye: RawMessage, *, status: int = 401) -> RawMessage:
        """Ask for the password of a BYE; the one that holds it, accepted."""
        name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        self.send(self.answer(bye, status, [(name, CHALLENGE)]))
        again = await self.next(method="BYE", call=bye.header("Call-ID"))
        while again.header("CSeq") == bye.header("CSeq"):
            again = await self.next(method="BYE", call=bye.header("Call-ID"))
        self.send(self.answer(again, 200))
        return again
