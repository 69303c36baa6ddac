"""What the media workers tell of a leg's RTP, as events of its call's story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceblocks.engine.media.messages import LegClosed, LegHeard
from voiceblocks.engine.media_session import MediaSession
from voiceblocks.stories.model import MediaBegan, MediaEnded

if TYPE_CHECKING:
    from voiceblocks.engine.parts import EngineParts


class MediaStory:
    """
    Listens to one leg's media from before they are opened to after they are closed.

    Args:
        parts: What all legs of the engine share.
        session_id: Whose call it is.
        leg_id: Empty for the first leg.
        media: Its media.
    """

    def __init__(
        self, parts: EngineParts, session_id: str, leg_id: str, media: MediaSession
    ) -> None:
        self._parts = parts
        self._session_id = session_id
        self._leg_id = leg_id
        self._media = media
        media.on_heard = self._heard
        media.on_closed = self._closed

    def _heard(self, event: LegHeard) -> None:
        self._parts.story.note(
            self._session_id,
            MediaBegan(
                at_us=self._parts.clock.utc_us(),
                leg=self._leg_id,
                local=self._media.address,
                remote=event.source,
                ssrc=event.ssrc,
            ),
        )

    def _closed(self, event: LegClosed) -> None:
        if not (event.packets_sent or event.packets_received):
            return
        self._parts.story.note(
            self._session_id,
            MediaEnded(
                at_us=self._parts.clock.utc_us(),
                leg=self._leg_id,
                codec=event.codec,
                local=self._media.address,
                remote=event.source,
                ssrc=event.ssrc,
                expected=event.packets_expected,
                received=event.packets_received,
                late=event.packets_late,
                jitter_ms=round(event.jitter_ms, 3),
                sent=event.packets_sent,
            ),
        )
