"""What all legs of the engine share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voiceblocks.calls.events import CallHandler
from voiceblocks.clock import Clock
from voiceblocks.engine.local_address import advertised_host, reaches
from voiceblocks.engine.media.handles import MediaLeg
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.media_session import MediaSession
from voiceblocks.engine.rooms import Rooms
from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.engine.sip_log import SipLog
from voiceblocks.engine.trunk_addresses import TrunkAddresses
from voiceblocks.stories.interfaces import StoryKeeper
from voiceblocks.trunks.model import DtmfMode

if TYPE_CHECKING:
    from voiceblocks.engine.call_leg import CallLeg


@dataclass(frozen=True, slots=True)
class EngineParts:
    """
    Handed to every leg and call; owned by the call engine.

    `legs` finds a leg by its handle in the SIP core; a leg puts itself in and is taken out
    when its call is over.
    """

    endpoint: SipEndpoint
    plane: MediaPlane
    handler: CallHandler
    clock: Clock
    targets: TrunkAddresses
    rooms: Rooms
    sip_log: SipLog
    story: StoryKeeper
    media_address: str
    "What SDP says instead of our local address; empty for the address itself."
    legs: dict[int, CallLeg] = field(default_factory=dict)
    sdp_ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def contact_host(self, remote: str) -> str:
        """What SIP says of our address towards a peer."""
        return self.endpoint.advertised_host(remote)

    def reaches(self, remote: str) -> bool:
        """Whether our SIP socket can send there: one on loopback stays on this machine."""
        return reaches(self.endpoint.address[0], remote)

    def local_host(self, remote: str) -> str:
        """Our address on the way to a peer."""
        return advertised_host(self.endpoint.address[0], "", remote)

    def new_media(
        self,
        remote: str,
        *,
        offer: bytes | None,
        dtmf: DtmfMode,
        beside: MediaLeg | None = None,
    ) -> MediaSession:
        """
        Media for a new leg; nothing is opened yet.

        Args:
            remote: Address of the SIP peer.
            offer: Its SDP; `None` where we make the offer.
            dtmf: How keys travel.
            beside: A leg whose worker it should share.
        """
        host = self.local_host(remote)
        return MediaSession(
            self.plane,
            bind_host=host,
            advertised_host=self.media_address or host,
            offer=offer,
            sdp_id=next(self.sdp_ids),
            dtmf=dtmf,
            beside=beside,
        )
