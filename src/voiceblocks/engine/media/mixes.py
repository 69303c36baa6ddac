"""What the control process holds of a mix: a bridge of two legs, or a room of many.

Made by `MediaPlane.open_mix`. A mix lives in one worker, and legs move there to join it
(decision 14). It has nothing that could be lost but its legs: they are told when their worker
dies, and who joins afterwards begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceblocks.engine.media import messages as m
from voiceblocks.errors import CapacityExceeded, ContractViolation

if TYPE_CHECKING:
    from voiceblocks.engine.media.children import WorkerLink
    from voiceblocks.engine.media.handles import MediaLeg


class Mix:
    """Legs that hear one another; each hears the others, and not itself."""

    def __init__(self, ident: int, link: WorkerLink) -> None:
        self.ident = ident
        self.link = link
        self.is_closed = False
        self._legs: dict[int, MediaLeg] = {}

    @property
    def legs(self) -> tuple[MediaLeg, ...]:
        """Who is in it, in the order of joining."""
        return tuple(leg for leg in self._legs.values() if leg.mix is self)

    async def join(self, leg: MediaLeg, *, speaks: bool = True, hears: bool = True) -> None:
        """
        Let a leg in; it moves to the mix's worker first, and leaves the mix that it was in.

        Raises:
            CapacityExceeded: When that worker is full or down.
            ContractViolation: When mix or leg are closed, or the leg's worker died.
        """
        if self.is_closed:
            raise ContractViolation("the mix is closed")
        await leg.move_to(self.link)
        if self.is_closed or leg.is_closed or leg.is_lost:
            raise ContractViolation("the mix or the leg ended meanwhile")
        self._legs = {each.ident: each for each in self.legs}
        self._legs[leg.ident] = leg
        leg.mix = self
        leg.post(m.JoinMix(leg.ident, self.ident, speaks, hears))

    def set(self, leg: MediaLeg, *, speaks: bool = True, hears: bool = True) -> None:
        """Change what a leg does in here; nothing happens when it is not here."""
        if leg.mix is self:
            leg.post(m.JoinMix(leg.ident, self.ident, speaks, hears))

    def leave(self, leg: MediaLeg) -> None:
        """Take a leg out; it is silent from now on, or plays. Fine when it is not here."""
        self._legs.pop(leg.ident, None)
        if leg.mix is self:
            leg.mix = None
            leg.post(m.LeaveMix(leg.ident, self.ident))

    def close(self) -> None:
        """Take all out. Fine when closed."""
        self.is_closed = True
        for leg in self.legs:
            self.leave(leg)


def worker_for(links: list[WorkerLink], beside: MediaLeg | None) -> WorkerLink:
    """
    The worker of a new mix: that of a leg which will be in it, or the one with most room.

    Raises:
        CapacityExceeded: When no worker has room.
    """
    if beside is not None:
        return beside.target
    open_links = [link for link in links if link.has_room(reserve=True)]
    if not open_links:
        raise CapacityExceeded("all media workers are full")
    return min(open_links, key=lambda link: link.load)
