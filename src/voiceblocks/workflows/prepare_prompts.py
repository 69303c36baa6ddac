"""Turn the parts of a `msg` into clips, or into the documented status that refuses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from voiceblocks.blocks.msg import Part, SpeechPart, TextPart, UrlPart
from voiceblocks.errors import InvalidRequest, SynthesisError, UnreadableAudio
from voiceblocks.speech.interfaces import Clip, PromptRenderer
from voiceblocks.speech.languages import check_spoken, find_language
from voiceblocks.stories.asked import PROMPT, PROMPTS, PromptTrace
from voiceblocks.stories.model import PromptMade

_URL_MOST = 300

STATUS_OF_ERROR: dict[type[Exception], str] = {
    SynthesisError: "error_msg_cannot_convert_text",
    UnreadableAudio: "error_msg_invalid_file_format",
}
"What an application is told of a part that cannot be played."


class DownloadedAudio(Protocol):
    """A file that came from a `<url>`; not ours to change or delete."""

    @property
    def path(self) -> Path:
        """On local disk, valid at least until the parts are prepared."""
        ...


class AudioSource(Protocol):
    """Where the files of `<url>` parts come from."""

    async def fetch(self, url: str, account_id: str) -> DownloadedAudio:
        """
        Download, or find in a cache, or in our own store.

        Args:
            url: Of a `<url>` part.
            account_id: Who asks: an expired link of ours is good for its own account.

        Raises:
            InvalidRequest: `error_msg_download_failed`, `error_msg_invalid_file_size` or
                `error_msg_invalid_url`.
        """
        ...

    async def confirm(self, audio: DownloadedAudio) -> None:
        """
        Say once more, after it was rendered, that `audio` may be played.

        Raises:
            InvalidRequest: If it was deleted meanwhile.
        """
        ...


class PromptPreparer:
    """
    Renders all parts of a `msg` at once.

    Args:
        renderer: Makes the clips.
        downloader: Gets what `<url>` parts name.
    """

    def __init__(self, renderer: PromptRenderer, downloader: AudioSource) -> None:
        self._renderer = renderer
        self._downloader = downloader

    async def prepare(self, parts: Sequence[Part], account_id: str) -> list[Clip]:
        """
        Make the clips for `parts` of a request of `account_id`, in their order.

        Text of punctuation only, as in `Hello <url>…</url>.`, has no sound and no clip;
        that is an error only where nothing else is left to play.

        Returns:
            At least one clip, unless `parts` is empty.

        Raises:
            InvalidRequest: With the status of the first part that cannot be played; a
                language that is not spoken is refused before anything is rendered.
        """
        checked = check_spoken(parts, self._renderer.speakers_of)
        # All outcomes are awaited, so that the status does not depend on which was faster.
        outcomes = await asyncio.gather(
            *(self._prepare_part(part, account_id) for part in checked), return_exceptions=True
        )
        clips: list[Clip] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is not None:
                clips.append(outcome)
        if checked and not clips:
            raise InvalidRequest(STATUS_OF_ERROR[SynthesisError])
        return clips

    async def _prepare_part(self, part: Part, account_id: str) -> Clip | None:
        kept = PROMPTS.get()
        if kept is None:
            return await self._make_part(part, account_id)
        # In a task of its own (`gather`), so that parts do not see each other's.
        trace = PromptTrace()
        PROMPT.set(trace)
        began_s = time.perf_counter()
        status = "cancelled"
        try:
            clip = await self._make_part(part, account_id)
            status = ""
        except InvalidRequest as error:
            status = error.status
            raise
        finally:
            ms = round((time.perf_counter() - began_s) * 1000)
            kept.append(PromptMade(_kind_of(part), _source_of(part), ms, trace.was_cached, status))
        return clip

    async def _make_part(self, part: Part, account_id: str) -> Clip | None:
        try:
            if isinstance(part, UrlPart):
                audio = await self._downloader.fetch(part.url, account_id)
                clip = await self._renderer.render_audio_file(audio.path, part.extension)
                await self._downloader.confirm(audio)
                return clip
            return await self._speak(part)
        except tuple(STATUS_OF_ERROR) as error:
            raise InvalidRequest(_status_of(error)) from error

    async def _speak(self, part: TextPart | SpeechPart) -> Clip | None:
        try:
            return await self._renderer.render_speech(
                part.text, part.language, self._gender_for(part)
            )
        except SynthesisError:
            if any(character.isalnum() for character in part.text):
                raise
            return None

    def _gender_for(self, part: TextPart | SpeechPart) -> str:
        """Plain text asks for no gender: where no woman speaks English, a man does."""
        language = find_language(part.language)
        if isinstance(part, SpeechPart) or language is None:
            return part.gender
        speakers = self._renderer.speakers_of(language)
        return part.gender if part.gender in speakers else next(iter(speakers), part.gender)


def _kind_of(part: Part) -> str:
    match part:
        case UrlPart():
            return "url"
        case SpeechPart():
            return "speech"
        case _:
            return "text"


def _source_of(part: Part) -> str:
    """No text, which may be about people, and no query, which may hold a secret."""
    if not isinstance(part, UrlPart):
        return part.language
    return part.url.partition("?")[0].partition("#")[0][:_URL_MOST]


def _status_of(error: Exception) -> str:
    """By its kind, which may be one of those of `STATUS_OF_ERROR`."""
    return next(status for kind, status in STATUS_OF_ERROR.items() if isinstance(error, kind))
