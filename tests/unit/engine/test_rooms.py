"""Rooms without media: who is in which, and when they begin and end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from voiceblocks.engine.plan import RoomKey
from voiceblocks.engine.rooms import Rooms, Seat
from voiceblocks.errors import CapacityExceeded

KEY = RoomKey("app1", "R1")


class FakeMix:
    """Notes who is in it, and takes a pass of the loop to join."""

    def __init__(self) -> None:
        self.members: dict[Any, bool] = {}
        self.is_closed = False
        self.fails = False

    async def join(self, leg: Any, *, speaks: bool = True) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise CapacityExceeded("the worker is full")
        self.members[leg] = speaks

    def set(self, leg: Any, *, speaks: bool) -> None:
        self.members[leg] = speaks

    def leave(self, leg: Any) -> None:
        self.members.pop(leg, None)

    def close(self) -> None:
        self.is_closed = True


class FakePlane:
    """Opens mixes."""

    def __init__(self) -> None:
        self.mixes: list[FakeMix] = []

    def open_mix(self, beside: Any) -> FakeMix:
        self.mixes.append(FakeMix())
        return self.mixes[-1]


def some_rooms(limit: int = 8) -> tuple[Rooms, FakePlane]:
    """Rooms over fake media."""
    plane = FakePlane()
    return Rooms(plane, limit), plane  # type: ignore[arg-type]


async def enter(rooms: Rooms, leg: str, key: RoomKey = KEY) -> Seat:
    """Enter with a leg that is only a name."""
    return await rooms.enter(key, leg)  # type: ignore[arg-type]


async def test_a_room_lives_from_its_first_to_its_last_participant() -> None:
    """Two share one mix, and the last to leave closes it; the next one begins a new room."""
    rooms, plane = some_rooms()
    first, second = await enter(rooms, "a"), await enter(rooms, "b")
    assert len(plane.mixes) == 1
    assert rooms.size(KEY) == 2
    first.leave()
    assert list(plane.mixes[0].members) == ["b"]
    assert not plane.mixes[0].is_closed
    second.leave()
    assert plane.mixes[0].is_closed
    assert rooms.size(KEY) == 0
    await enter(rooms, "c")
    assert len(plane.mixes) == 2


async def test_rooms_of_one_name_belong_to_their_applications() -> None:
    """Another application's room of the same name is another room."""
    rooms, plane = some_rooms()
    await enter(rooms, "a")
    await enter(rooms, "b", RoomKey("app2", "R1"))
    assert [list(mix.members) for mix in plane.mixes] == [["a"], ["b"]]


async def test_a_room_takes_exactly_as_many_as_it_may_when_all_come_at_once() -> None:
    """Twenty who enter in one instant: eight are in, twelve are refused."""
    rooms, plane = some_rooms()
    outcomes = await asyncio.gather(
        *(enter(rooms, str(number)) for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Seat) for outcome in outcomes) == 8
    assert sum(isinstance(outcome, CapacityExceeded) for outcome in outcomes) == 12
    assert len(plane.mixes[0].members) == 8


async def test_who_cannot_join_takes_no_seat() -> None:
    """A worker without room refuses, and the empty room is gone."""
    rooms, plane = some_rooms()
    entering = asyncio.ensure_future(enter(rooms, "a"))
    await asyncio.sleep(0)
    plane.mixes[0].fails = True
    with pytest.raises(CapacityExceeded):
        await entering
    assert rooms.size(KEY) == 0
    assert plane.mixes[0].is_closed


async def test_a_muted_participant_still_hears() -> None:
    """Muting changes who is heard, not who is there; leaving twice is fine."""
    rooms, plane = some_rooms()
    seat = await enter(rooms, "a")
    seat.mute(muted=True)
    assert plane.mixes[0].members == {"a": False}
    seat.mute(muted=False)
    assert plane.mixes[0].members == {"a": True}
    seat.leave()
    seat.leave()
    assert rooms.size(KEY) == 0
