"""Which voice of a speech server speaks which language: the setting `OPENAI_SPEECH_VOICES`.

`*=nova/onyx, ja=jf_alpha/jm_kumo, th=premwadee`: by language a female and a male voice;
one voice alone is both. `*` is every language that the server can tell from the text;
Cantonese it cannot, since its text reads as Mandarin, so `zh-HK` must be named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from voiceblocks.speech.engine_order import known_language
from voiceblocks.speech.languages import GENDERS, Language

_ALL = "*"


@dataclass(frozen=True, slots=True)
class ServerVoices:
    """Voices by language and gender."""

    by_language: Mapping[str, Mapping[str, str]]
    "By code as the table spells it, or `*`; then by gender."

    def voice_for(self, language: Language, gender: str) -> str | None:
        """The voice's name; `None` if the server does not speak the language."""
        voices = self.by_language.get(language.code)
        if voices is None and language.text_tells:
            family = language.code.partition("-")[0]
            voices = self.by_language.get(family) or self.by_language.get(_ALL)
        return None if voices is None else voices.get(gender)


def parse_server_voices(text: str) -> ServerVoices:
    """
    Read the setting.

    Raises:
        ValueError: With a sentence that says what to write.
    """
    by_language: dict[str, Mapping[str, str]] = {}
    for entry in filter(None, (piece.strip() for piece in text.split(","))):
        code, _, names = (part.strip() for part in entry.partition("="))
        voices = [name.strip() for name in names.split("/")]
        if not code or not all(voices) or len(voices) > len(GENDERS):
            raise ValueError(f"{entry!r}: write LANGUAGE=FEMALE/MALE, such as *=nova/onyx")
        spelled = code if code == _ALL else known_language(code).code
        by_language[spelled] = MappingProxyType({"female": voices[0], "male": voices[-1]})
    if not by_language:
        raise ValueError("it says which languages the server speaks, such as *=nova/onyx")
    return ServerVoices(MappingProxyType(by_language))
