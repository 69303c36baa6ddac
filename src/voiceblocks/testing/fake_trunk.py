"""A carrier in the test's own process: it takes our calls, sends us calls, and is a registrar.

    async with FakeTrunk() as trunk:
        trunk.route("+6591110001", Answer(rings=1))
        trunk.route("+6591110002", BUSY)
        trunk.route("+659111", RingForever())       # every number that begins so
        ...                                          # `trunk add --address sip:{trunk.address}`
        call = await trunk.incoming(5, "+6591110001")
        await call.answered()

With credentials it asks for them, for calls and for REGISTER alike:

    async with FakeTrunk(digest=DigestServer("user", "secret")) as trunk:
        binding = await trunk.registrar.registered(timeout_s=5)
        assert binding.expires_s == 3600
        call = await trunk.call_number("+6531580000")   # to where we have registered

It is a `Phone` whose behaviour depends on the number; all that a phone can do, it can.
"""

from __future__ import annotations

import asyncio
from typing import Any

from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest
from voiceblocks.testing.answering import NOT_FOUND, Behaviour
from voiceblocks.testing.digest_server import DigestServer
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.registrar import Registrar


class FakeTrunk(Phone):
    """
    A SIP peer with many numbers on one address.

    Args:
        host: Its address.
        port: Its SIP port; a free one if 0.
        digest: Credentials that it wants; `None` wants none.
        codecs: What it takes and offers.
        default: What becomes of calls to numbers without a route.
        telephone_event: As for `Phone`.
        options: More of `Phone`.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        *,
        port: int = 0,
        digest: DigestServer | None = None,
        codecs: tuple[str, ...] = ("PCMU", "PCMA"),
        default: Behaviour = NOT_FOUND,
        telephone_event: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            host,
            port=port,
            answering=default,
            digest=digest,
            codecs=codecs,
            telephone_event=telephone_event,
            **options,
        )
        self.registrar = Registrar(digest)
        self._routes: dict[str, Behaviour] = {}

    def route(self, prefix: str, behaviour: Behaviour) -> None:
        """Say what becomes of calls to a number, or to all that begin so; the longest wins."""
        self._routes[prefix.lstrip("+0")] = behaviour

    def behaviour_for(self, request: SipRequest) -> Behaviour:
        """The route of the dialled number."""
        dialled = (request.request_uri.user or "").lstrip("+0")
        matching = [prefix for prefix in self._routes if dialled.startswith(prefix)]
        return self._routes[max(matching, key=len)] if matching else self.answering

    async def call_number(self, number: str, at: str | None = None, **options: Any) -> PhoneCall:
        """
        Deliver a call to a number of ours.

        Args:
            number: The Request-URI's user part, in the carrier's own writing.
            at: `HOST:PORT`; by default where the newest binding points to.
            options: As for `Phone.call`.
        """
        if at is None:
            uri = self.registrar.newest.uri
            at = f"{uri.host}:{uri.port or 5060}"
        return await self.call(f"sip:{number}@{at}", **options)

    def _on_request(self, request: SipRequest, flow: Flow) -> bool:
        if not super()._on_request(request, flow):
            return False
        if request.method != "REGISTER":
            return True
        request.stamp_source(*flow.remote)
        response = self.registrar.answer(request, asyncio.get_running_loop().time())
        if response is not None:
            self.endpoint.send(response.serialize(), flow)
        return False
