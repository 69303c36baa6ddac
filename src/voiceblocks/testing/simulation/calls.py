"""One call of a script: what a person on the phone does and hears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from voiceblocks.errors import InvalidRequest
from voiceblocks.speech.interfaces import Clip
from voiceblocks.testing.phone_call import CallNotAnswered, PhoneCall
from voiceblocks.testing.simulation.phone_media import SimulatedMedia
from voiceblocks.testing.simulation.timeline import ScriptFailed
from voiceblocks.testing.sounds import load_wav
from voiceblocks.testing.speakers import voice

if TYPE_CHECKING:
    from voiceblocks.testing.simulation.voice import Voice

T = TypeVar("T")

Said: TypeAlias = float | str | Path | NDArray[np.int16]
"Seconds of some voice, a sound file, or 8 kHz samples."

HEARING_LIMIT_S = 120.0
KEY_MS = 100
BETWEEN_KEYS_S = 0.1


class AsyncScriptedCall:
    """
    A call, for scripts that are coroutines (`Voice.run`); made by `Voice`.

    Every method returns when what it says has happened, in virtual time, and raises
    `ScriptFailed` with the story so far when it does not happen within `limit_s`.
    """

    def __init__(self, voice_: Voice, call: PhoneCall, who: str) -> None:
        self._voice = voice_
        self._call = call
        self._who = who
        self._heard_until = 0

    @property
    def phone_call(self) -> PhoneCall:
        """The phone's side, with all that a `testing.phone.Phone` can do."""
        return self._call

    @property
    def media(self) -> SimulatedMedia:
        """Its RTP."""
        media = self._call.media
        assert isinstance(media, SimulatedMedia)
        return media

    @property
    def heard(self) -> NDArray[np.int16]:
        """All that was heard: 8 kHz samples, silence included."""
        return self.media.audio()

    @property
    def is_up(self) -> bool:
        """Answered, and not ended."""
        return self._call.is_up

    async def is_answered(self, limit_s: float = HEARING_LIMIT_S) -> None:
        """The other side picks up."""
        try:
            await self._within(limit_s, self._call.answered(), "the call was not answered")
        except CallNotAnswered as error:
            raise self._voice.failure(f"the call was not answered: {error}") from error
        self._note("is answered")

    async def is_refused(self, limit_s: float = HEARING_LIMIT_S) -> int:
        """The call is refused, or given up; returns the SIP status."""
        try:
            await self._within(limit_s, self._call.answered(), "the call was not refused")
        except CallNotAnswered as error:
            return error.status
        raise self._voice.failure("the call was answered, not refused")

    async def hears(self, msg: str | Path, limit_s: float = HEARING_LIMIT_S) -> None:
        """
        A prompt is heard from its beginning to its end, after what was heard before.

        Args:
            msg: As the `msg` of a block: text, or with `<speech>` and `<url>`; or the path of a
                sound file that the application plays.
            limit_s: Counted from now.
        """
        try:
            clips = await self._voice.clips_of(msg)
        except InvalidRequest as error:
            raise self._voice.failure(
                f"{msg!s:.200} is nothing that can be heard: {error}"
            ) from error
        await self._hears(clips, f"{msg!s:.200}", limit_s)

    async def waits_for_beep(self, limit_s: float = HEARING_LIMIT_S) -> None:
        """The beep of a recording has been heard."""
        await self._hears([await self._voice.beep()], "the beep", limit_s)

    async def says(self, what: Said) -> None:
        """Something is said to its end; a number is that many seconds of a voice."""
        samples = await asyncio.to_thread(_samples, what)
        self._note(f"says {len(samples) / 8000:.3f} s")
        await self._until_gone_or(self.media.say(samples), "to say something")

    async def presses(self, keys: str) -> None:
        """Keys are pressed, one after another."""
        for key in keys:
            self._note("presses a key")
            await self._until_gone_or(self.media.press(key, KEY_MS), "to press a key")
            await asyncio.sleep(KEY_MS / 1000 + BETWEEN_KEYS_S)

    async def waits(self, seconds: float) -> None:
        """So much time passes."""
        await asyncio.sleep(seconds)

    async def puts_on_hold(self) -> None:
        """The phone asks the other side to send nothing until `comes_back`."""
        self._note("puts the call on hold")
        self._call.hold()
        await self._within(HEARING_LIMIT_S, self._call.renegotiated(), "the hold was not answered")

    async def comes_back(self) -> None:
        """The phone takes the call from hold."""
        self._note("takes the call from hold")
        self._call.resume()
        await self._within(HEARING_LIMIT_S, self._call.renegotiated(), "that was not answered")

    async def hangs_up(self) -> None:
        """The phone hangs up; what the application is told of it is told when this returns."""
        self._note("hangs up")
        self._call.hang_up()
        await self._within(HEARING_LIMIT_S, self._call.ended(), "the call did not end")
        await self._voice.quiet()

    async def is_hung_up(self, limit_s: float = HEARING_LIMIT_S) -> None:
        """The other side ends the call; what the application is told is told by then."""
        await self._within(limit_s, self._call.ended(), "nobody hung up")
        self._note("is hung up on")
        await self._voice.quiet()

    # Inside

    def _note(self, what: str) -> None:
        self._voice.note(self._who, what)

    async def _hears(self, clips: Sequence[Clip], name: str, limit_s: float) -> None:
        wanted = b"".join([clip.path_for(self.media.codec_name).read_bytes() for clip in clips])
        media = self.media
        sound = wanted.rstrip(media.silence[-1:])
        heard = self._loop_future()
        begin = self._heard_until

        def look() -> None:
            nonlocal begin
            at = media.payload.find(wanted, begin)
            if at >= 0:
                if not heard.done():
                    heard.set_result(at + len(wanted))
            else:
                begin = max(begin, len(media.payload) - len(wanted) + 1)
                # Only what lacks nothing but silence is heard to its end in a silence.
                media.minds_silence = media.payload.find(sound, begin) >= 0

        before = media.on_audio, media.minds_silence
        media.on_audio = look
        try:
            look()
            await self._until_gone_or(
                self._within(limit_s, heard, f"{name} was not heard from beginning to end"),
                f"to hear {name}",
            )
        finally:
            media.on_audio, media.minds_silence = before
        self._heard_until = heard.result()
        self._note(f"has heard {name}")

    @staticmethod
    def _loop_future() -> asyncio.Future[int]:
        return asyncio.get_running_loop().create_future()

    async def _until_gone_or(self, awaitable: Awaitable[T], wish: str) -> T:
        """Wait, unless the call ends first."""
        work = asyncio.ensure_future(awaitable)
        gone = asyncio.ensure_future(self._call.ended())
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise self._voice.failure(f"the call ended before there was time {wish}")
            return work.result()
        finally:
            gone.cancel()
            work.cancel()

    async def _within(self, limit_s: float, awaitable: Awaitable[T], failure: str) -> T:
        try:
            async with asyncio.timeout(limit_s):
                return await awaitable
        except TimeoutError:
            raise self._voice.failure(f"{failure} within {limit_s:g} s") from None


def _samples(what: Said) -> NDArray[np.int16]:
    if isinstance(what, np.ndarray):
        return what
    if isinstance(what, str | Path):
        return load_wav(str(what))
    return voice(0, what * 1000)


class ScriptedCall:
    """
    A call, for scripts that are plain functions: the methods of `AsyncScriptedCall`, awaited.

    What happens between two steps of a script takes no time, and nothing else happens then.
    """

    def __init__(self, voice_: Voice, call: AsyncScriptedCall) -> None:
        self._call = call
        self._run = voice_.run

    @property
    def phone_call(self) -> PhoneCall:
        """See `AsyncScriptedCall.phone_call`."""
        return self._call.phone_call

    @property
    def heard(self) -> NDArray[np.int16]:
        """All that was heard: 8 kHz samples, silence included."""
        return self._call.heard

    @property
    def is_up(self) -> bool:
        """Answered, and not ended."""
        return self._call.is_up

    def is_answered(self, limit_s: float = HEARING_LIMIT_S) -> None:
        """The other side picks up."""
        self._run(self._call.is_answered(limit_s))

    def is_refused(self, limit_s: float = HEARING_LIMIT_S) -> int:
        """The call is refused, or given up; returns the SIP status."""
        return self._run(self._call.is_refused(limit_s))

    def hears(self, msg: str | Path, limit_s: float = HEARING_LIMIT_S) -> None:
        """A prompt is heard from its beginning to its end: see `AsyncScriptedCall.hears`."""
        self._run(self._call.hears(msg, limit_s))

    def waits_for_beep(self, limit_s: float = HEARING_LIMIT_S) -> None:
        """The beep of a recording has been heard."""
        self._run(self._call.waits_for_beep(limit_s))

    def says(self, what: Said) -> None:
        """Something is said to its end; a number is that many seconds of a voice."""
        self._run(self._call.says(what))

    def presses(self, keys: str) -> None:
        """Keys are pressed, one after another."""
        self._run(self._call.presses(keys))

    def waits(self, seconds: float) -> None:
        """So much time passes."""
        self._run(self._call.waits(seconds))

    def puts_on_hold(self) -> None:
        """The phone asks the other side to send nothing until `comes_back`."""
        self._run(self._call.puts_on_hold())

    def comes_back(self) -> None:
        """The phone takes the call from hold."""
        self._run(self._call.comes_back())

    def hangs_up(self) -> None:
        """The phone hangs up; what the application is told of it is told when this returns."""
        self._run(self._call.hangs_up())

    def is_hung_up(self, limit_s: float = HEARING_LIMIT_S) -> None:
        """The other side ends the call; what the application is told is told by then."""
        self._run(self._call.is_hung_up(limit_s))


__all__ = ["AsyncScriptedCall", "Said", "ScriptFailed", "ScriptedCall"]
