"""What the HTTP front needs from the workflows, and nothing else does it talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from voiceblocks.accounts.model import Application
from voiceblocks.blocks.call import CallCommand
from voiceblocks.blocks.command import Command
from voiceblocks.blocks.conference import ConferenceCommand
from voiceblocks.blocks.delete_recording import DeleteRecordingCommand
from voiceblocks.blocks.dial import DialCommand
from voiceblocks.blocks.get_choices import GetChoicesCommand
from voiceblocks.blocks.get_history import GetHistoryCommand
from voiceblocks.blocks.get_rate import GetRateCommand
from voiceblocks.blocks.get_rates import GetRatesCommand
from voiceblocks.blocks.moderate import ModerateCommand
from voiceblocks.blocks.pause_recording import PauseRecordingCommand
from voiceblocks.blocks.query_status import QueryStatusCommand
from voiceblocks.blocks.recording_health import RecordingHealthCommand
from voiceblocks.blocks.renew_link import RenewLinkCommand
from voiceblocks.blocks.resume_recording import ResumeRecordingCommand
from voiceblocks.blocks.revoke_links import RevokeLinksCommand
from voiceblocks.blocks.subscribe import SubscribeCommand
from voiceblocks.blocks.update_forwarding import UpdateForwardingCommand
from voiceblocks.blocks.voice_hangup import VoiceHangupCommand
from voiceblocks.stories.interfaces import UNHEARD, RequestListener


class BlockSubmitter(Protocol):
    """Takes blocks for calls; fulfilled by `workflows.submit_block`."""

    async def authenticate(self, app_id: str, access_token: str) -> Application:
        """
        Return the application that the pair names.

        Raises:
            InvalidAccessToken: If the token is unknown, expired or revoked.
            InvalidAppId: If the application is unknown or revoked, or not the token's.
        """
        ...

    async def submit(self, app: Application, command: Command) -> Mapping[str, Any]:
        """
        Accept and start a block.

        Returns:
            What the answer holds beside `status`: `room` for a transfer into one, else nothing.

        Raises:
            VoiceblocksError: One that `statuses` knows; nothing was changed then.
        """
        ...


class CallPlacer(Protocol):
    """
    Calls numbers; fulfilled by `workflows.place_call`.

    Each method raises a `VoiceblocksError` that `statuses` knows where it refuses; nobody
    is called then.
    """

    async def dial(self, app: Application, command: DialCommand) -> Mapping[str, Any]:
        """Place a call that the application leads; returns `txn_ref` and `session`."""
        ...

    async def call(self, app: Application, command: CallCommand) -> Mapping[str, Any]:
        """Call two numbers and connect them; returns `txn_ref`."""
        ...

    async def conference(self, app: Application, command: ConferenceCommand) -> Mapping[str, Any]:
        """Call numbers into a room; returns `txn_refs`, a list as `dests`, and `room`."""
        ...


class CallModeration(Protocol):
    """Acts on calls that go on; each answers nothing beside `status`."""

    async def moderate(self, app: Application, command: ModerateCommand) -> Mapping[str, Any]:
        """Put a participant out of a room, or silence one."""
        ...

    async def hang_up(self, app: Application, command: VoiceHangupCommand) -> Mapping[str, Any]:
        """End a call."""
        ...

    async def pause(self, app: Application, command: PauseRecordingCommand) -> Mapping[str, Any]:
        """Keep nothing of what a call records."""
        ...

    async def resume(self, app: Application, command: ResumeRecordingCommand) -> Mapping[str, Any]:
        """Go on with what was paused."""
        ...


class CallQueries(Protocol):
    """Tells about calls; fulfilled by `workflows.query_calls`. Each answers all but `status`."""

    async def query_status(
        self, app: Application, command: QueryStatusCommand
    ) -> Mapping[str, Any]:
        """What became of a call."""
        ...

    async def get_history(self, app: Application, command: GetHistoryCommand) -> Mapping[str, Any]:
        """A page of the application's calls."""
        ...

    async def get_rate(self, app: Application, command: GetRateCommand) -> Mapping[str, Any]:
        """What a minute between two numbers costs."""
        ...


class AccountQueries(Protocol):
    """Tells an application about its account; fulfilled by `workflows.query_account`."""

    async def get_balance(self, app: Application) -> Mapping[str, Any]:
        """What it has left."""
        ...

    async def get_info(self, app: Application) -> Mapping[str, Any]:
        """Who it is."""
        ...


class NumberShop(Protocol):
    """Numbers that an application has or may have; fulfilled by `workflows.offer_numbers`."""

    async def get_active(self, app: Application) -> Mapping[str, Any]:
        """The application's numbers."""
        ...

    async def get_countries(self, app: Application) -> Mapping[str, Any]:
        """Where there are numbers."""
        ...

    async def get_choices(self, app: Application, command: GetChoicesCommand) -> Mapping[str, Any]:
        """A page of a country's numbers."""
        ...

    async def get_rates(self, app: Application, command: GetRatesCommand) -> Mapping[str, Any]:
        """What they cost."""
        ...

    async def subscribe(self, app: Application, command: SubscribeCommand) -> Mapping[str, Any]:
        """Make one the application's."""
        ...

    async def update_forwarding(
        self, app: Application, command: UpdateForwardingCommand
    ) -> Mapping[str, Any]:
        """Change where its calls are told."""
        ...


class RecordingChanges(Protocol):
    """Acts on an application's recordings; fulfilled by `workflows.change_recording`."""

    async def health(self, app: Application, command: RecordingHealthCommand) -> Mapping[str, Any]:
        """How well a recording came in; see `recording_words.health_words`."""
        ...

    async def link(self, app: Application, command: RenewLinkCommand) -> Mapping[str, Any]:
        """Make a new link; returns `record_url`."""
        ...

    async def revoke(self, app: Application, command: RevokeLinksCommand) -> Mapping[str, Any]:
        """Make all links worthless that were handed out; answers nothing beside `status`."""
        ...

    async def delete(self, app: Application, command: DeleteRecordingCommand) -> Mapping[str, Any]:
        """Delete a recording for good; answers nothing beside `status`."""
        ...


class RateLimiter(Protocol):
    """Counts requests for each application and API."""

    def count(self, app_id: str, api: str) -> None:
        """
        Count one request.

        Args:
            app_id: An authenticated application.
            api: Path below `/open/`, such as `"ivr/middle/record"`.

        Raises:
            RateLimitExceeded: If it is one too many.
        """
        ...


class RecordingFile(Protocol):
    """A recording that may be read by who asked."""

    @property
    def name(self) -> str:
        """As it is stored: its ending says what it is."""
        ...

    @property
    def size_bytes(self) -> int:
        """Exact size."""
        ...

    @property
    def last_modified_us(self) -> int:
        """UTC microseconds."""
        ...

    @property
    def sha256(self) -> str | None:
        """Of the whole file, as hex; `None` where unknown."""
        ...

    @property
    def is_once(self) -> bool:
        """Whether its link is used up: the whole file is sent, whatever part was asked for."""
        ...

    @property
    def redirect_url(self) -> str | None:
        """Where to send whoever asks, instead of the bytes."""
        ...

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to `end` (exclusive); exactly so many."""
        ...


class RecordingSource(Protocol):
    """Opens recordings for who has a signed link (decision 7)."""

    async def open(self, name: str, method: str, query: Mapping[str, str]) -> RecordingFile | None:
        """
        Check the link, then look for the recording.

        Args:
            name: Last part of the path, such as `"rec-0f….mp3"`: letters, digits, `-`, `_`
                and dots. The signed path is `/recordings/` and this.
            method: `"GET"` or `"HEAD"`.
            query: The query's parameters, unescaped.

        Returns:
            The recording, or `None` if the link is good and there is none (any more).

        Raises:
            RequestRefused: If the link is wrong or expired; the text says which, in one
                short sentence that is shown to whoever holds the link. Nothing tells then
                whether there is such a recording.
        """
        ...


Readiness = Callable[[], Sequence[str]]
"Says why the node should get no new work, in a few words each; nothing if it should."


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiHandlers:
    """Everything that the public address serves."""

    blocks: BlockSubmitter
    calls: CallPlacer
    moderation: CallModeration
    queries: CallQueries
    account: AccountQueries
    numbers: NumberShop
    changes: RecordingChanges
    rate_limiter: RateLimiter
    recordings: RecordingSource
    readiness: Readiness
    story: RequestListener = UNHEARD
