"""What the console asks for; the composition root puts workflows and the node behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from voiceblocks.console.lines import Lines
from voiceblocks.workflows.act_for_people import ActForPeople
from voiceblocks.workflows.call_own_numbers import CallOwnNumbers
from voiceblocks.workflows.show_to_people import ShowToPeople
from voiceblocks.workflows.sign_in import SignIn


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """A media worker."""

    index: int
    is_up: bool
    restarts: int
    legs: int
    late_p99_ms: float | None
    "99 of 100 ticks began no later than this; `None` before the first."


@dataclass(frozen=True, slots=True)
class Registration:
    """How we are registered at a trunk."""

    state: str
    reason: str
    "What the registrar answered; empty if that was no failure."
    until_us: int | None
    "When it forgets us by itself; `None` if it does not know us."


@dataclass(frozen=True, slots=True)
class Health:
    """How the node is, at this moment."""

    not_ready_because: tuple[str, ...]
    live_calls: int
    rooms: int
    workers: tuple[WorkerHealth, ...]
    keeper_is_up: bool
    rings_in_use: int
    rings: int
    disk_free_bytes: int
    disk_bytes: int
    dropped_strangers: int
    dropped_too_fast: int
    registrations: Mapping[str, Registration]
    "Our registrations by the ids of their trunks."
    encoder_following: int
    "Recordings that are encoded while they grow."
    encoder_finishing: int
    "Recordings whose end waits for the encoder."
    to_upload: int
    "Recordings that the store has still to take."
    to_erase: int
    "Recordings that the store has still to let go."


HealthFunction = Callable[[], Health]


class RecordingSource(Protocol):
    """`workflows.serve_recording.ServeRecording`."""

    async def open(self, name: str, method: str, query: Mapping[str, str]) -> Any:
        """Return the file; `None` where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class ConsoleHandlers:
    """All of them."""

    sign_in: SignIn
    show: ShowToPeople
    act: ActForPeople
    health: HealthFunction
    sign_link: Callable[[str, int], str]
    "`(object_name, link_revision)` of a recording to a signed link."
    recordings: RecordingSource
    answer_file: Callable[[Request, Any], Response]
    "A file of `recordings` as an answer with ranges."
    own_numbers: CallOwnNumbers
    lines: Lines
    "For the phone in the browser."
    public_url: Callable[[], str]
    "Base of the API's addresses."
