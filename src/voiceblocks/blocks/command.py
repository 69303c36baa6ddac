"""What all blocks have in common."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.msg import Part
from voiceblocks.ids import SessionId


class BlockKind(StrEnum):
    """Where in a call a block may come; also a part of its path."""

    START = "start"
    "Exactly one begins a call."
    MIDDLE = "middle"
    END = "end"
    "Nothing but its own end follows."


class Request(Protocol):
    """
    One request of the API, parsed and checked as far as that needs nothing else.

    Requests are frozen values without behaviour.
    """

    block: ClassVar[str]
    'Name in paths, notifications and every layer\'s files, such as `"record"`.'
    parameters: ClassVar[tuple[Parameter[Any], ...]]
    "The parameters in the order in which they are read and documented."

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """
        Read a request.

        Raises:
            InvalidRequest: With the documented status of the first parameter that is wrong.
        """
        ...


class BlockRequest(Request, Protocol):
    """What a call runs: the engine's runner of the same name acts. It may begin a call."""

    @property
    def msg(self) -> tuple[Part, ...]:
        """What is said first; empty if nothing."""
        ...

    @property
    def tag(self) -> str:
        """The application's own reference, empty if none."""
        ...

    @property
    def notify_url(self) -> str | None:
        """Where its end is told; `None`: the call is hung up after `msg`, nothing is told."""
        ...


class Command(BlockRequest, Protocol):
    """One request to act on a session that exists already."""

    @property
    def session(self) -> SessionId:
        """The call that it is for."""
        ...
