"""Conference rooms: who is in which, and the mix that they share.

A room begins with its first participant and ends with its last one. It lives in the media
worker of whoever came first; the others' legs move there (decision 14).
"""

from __future__ import annotations

import asyncio

from voiceblocks.engine.media.handles import MediaLeg
from voiceblocks.engine.media.mixes import Mix
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.plan import RoomKey
from voiceblocks.errors import CapacityExceeded


class Seat:
    """One participant's place in a room."""

    def __init__(self, room: _Room, leg: MediaLeg) -> None:
        self._room = room
        self._leg = leg
        self.kicked = asyncio.Event()
        "Set when a moderator throws the participant out."

    def mute(self, *, muted: bool) -> None:
        """Whether the others hear this one; it goes on hearing them."""
        self._room.mix.set(self._leg, speaks=not muted)

    def leave(self) -> None:
        """Give the place back; fine when the leg is closed or lost already."""
        self._room.leave(self, self._leg)


class _Room:
    def __init__(self, rooms: Rooms, key: RoomKey, mix: Mix) -> None:
        self._rooms = rooms
        self._key = key
        self.mix = mix
        self.seats: set[Seat] = set()

    def leave(self, seat: Seat, leg: MediaLeg) -> None:
        if seat not in self.seats:
            return
        self.seats.remove(seat)
        self.mix.leave(leg)
        if not self.seats:
            self.mix.close()
            self._rooms.forget(self._key, self)


class Rooms:
    """
    All rooms of this node.

    Args:
        plane: Where mixes come from.
        limit: Most participants of a room.
    """

    def __init__(self, plane: MediaPlane, limit: int) -> None:
        self._plane = plane
        self._limit = limit
        self._rooms: dict[RoomKey, _Room] = {}

    @property
    def limit(self) -> int:
        """Most participants of a room."""
        return self._limit

    def __len__(self) -> int:
        return len(self._rooms)

    def size(self, key: RoomKey) -> int:
        """How many are in a room now; 0 where there is none."""
        room = self._rooms.get(key)
        return 0 if room is None else len(room.seats)

    async def enter(self, key: RoomKey, leg: MediaLeg) -> Seat:
        """
        Join a room, which begins where nobody was in it.

        Raises:
            CapacityExceeded: If the room is full, or its media worker is.
        """
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = _Room(self, key, self._plane.open_mix(beside=leg))
        if len(room.seats) >= self._limit:
            raise CapacityExceeded(f"the room has {self._limit} participants already")
        # Taken before the leg has moved, so that many who come at once are counted.
        seat = Seat(room, leg)
        room.seats.add(seat)
        try:
            await room.mix.join(leg)
        except BaseException:
            seat.leave()
            raise
        return seat

    def forget(self, key: RoomKey, room: _Room) -> None:
        """For the room: its last participant has left."""
        if self._rooms.get(key) is room:
            del self._rooms[key]
