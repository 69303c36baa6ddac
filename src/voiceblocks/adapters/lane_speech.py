"""The two engines that speak in children of the render pool: espeak-ng and Piper."""

from __future__ import annotations

from voiceblocks.adapters.espeak import voice_name
from voiceblocks.adapters.render.cache import key_of
from voiceblocks.adapters.render.clip_maker import ClipMaker
from voiceblocks.adapters.render.lane import JobFailedError, Lane
from voiceblocks.adapters.render.messages import FoundVoice, RenderSpeech
from voiceblocks.errors import NoSound, SynthesisError
from voiceblocks.speech.engine_order import ESPEAK, PIPER
from voiceblocks.speech.interfaces import Clip
from voiceblocks.speech.languages import Grade, Language, can_read

# The engine's own limits end a hanging text first, twice if its process dies in between. A
# thousand characters are a minute of speech; Piper's larger voices need half of that for it.
_LIMIT_S = 60.0


class EspeakSpeech:
    """
    espeak-ng, in the `speech` lane. Fulfils `SpeechEngine`.

    Args:
        lane: With that role, started.
        maker: Has the lane's cache.
    """

    name = ESPEAK

    def __init__(self, lane: Lane, maker: ClipMaker) -> None:
        self._lane = lane
        self._maker = maker

    def voice_for(self, language: Language, gender: str) -> str | None:
        """See `SpeechEngine`."""
        if not self._lane.ready.engine_version or language.espeak is Grade.NOT:
            return None
        return voice_name(language.code, gender)

    def find(self, text: str, language: Language, gender: str) -> Clip | None:
        """See `SpeechEngine`."""
        return self._maker.find(self._key(text, voice_name(language.code, gender)))

    async def speak(self, text: str, language: Language, gender: str) -> Clip:
        """See `SpeechEngine`. Text of which it could only name the letters is refused."""
        if not can_read(language, text):
            raise NoSound("its letters are not read in this language")
        voice = voice_name(language.code, gender)
        return await _speak_in(self._lane, self._maker, self._key(text, voice), text, voice)

    def _key(self, text: str, voice: str) -> str:
        return key_of("speech", ESPEAK, self._lane.ready.engine_version, voice, text)


class PiperSpeech:
    """
    The operator's Piper voices, in the `piper` lane. Fulfils `SpeechEngine`.

    Args:
        lane: With that role, started.
        maker: Has the lane's cache.
    """

    name = PIPER

    def __init__(self, lane: Lane, maker: ClipMaker) -> None:
        self._lane = lane
        self._maker = maker

    def voice_for(self, language: Language, gender: str) -> str | None:
        """See `SpeechEngine`."""
        found = self._find_voice(language, gender)
        return None if found is None else found.name

    def find(self, text: str, language: Language, gender: str) -> Clip | None:
        """See `SpeechEngine`."""
        return self._maker.find(self._key(text, self._voice(language, gender)))

    async def speak(self, text: str, language: Language, gender: str) -> Clip:
        """See `SpeechEngine`."""
        voice = self._voice(language, gender)
        key = self._key(text, voice)
        return await _speak_in(self._lane, self._maker, key, text, voice.name)

    def _voice(self, language: Language, gender: str) -> FoundVoice:
        found = self._find_voice(language, gender)
        if found is None:
            raise SynthesisError(f"no {gender} voice for {language.code}")
        return found

    def _find_voice(self, language: Language, gender: str) -> FoundVoice | None:
        """The language's own before those that are understood; of the gender before of none."""
        for code in (language.code, *language.also):
            for wanted in (gender, ""):
                for voice in self._lane.ready.voices:
                    if voice.language == code and voice.gender == wanted:
                        return voice
        return None

    def _key(self, text: str, voice: FoundVoice) -> str:
        phonemes = self._lane.ready.engine_version
        return key_of("speech", PIPER, phonemes, voice.name, voice.version, text)


async def _speak_in(lane: Lane, maker: ClipMaker, key: str, text: str, voice: str) -> Clip:
    try:
        return await maker.make(
            lane,
            key,
            lambda job: RenderSpeech(job=job, key=key, text=text, voice=voice),
            _LIMIT_S,
        )
    except JobFailedError as error:
        kind = NoSound if error.no_sound else SynthesisError
        raise kind(str(error)) from error
