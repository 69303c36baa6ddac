"""Which languages can be spoken, and by which voices.

The original's table is not known; its known codes are en, zh, zh-HK, ja and ko, its
genders female and male. `ja` and `th` are listed without being spoken: espeak-ng
reads neither kanji nor Thai, and a wrong prompt is worse than a refused one.

Codes are read in any case, with `_` for `-`: `zh_hk` is `zh-HK`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from voiceblocks.blocks.msg import Part, SpeechPart, UrlPart
from voiceblocks.errors import InvalidRequest

GENDERS: Final = frozenset({"female", "male"})


@dataclass(frozen=True, slots=True)
class Language:
    """A language that `msg` may ask for."""

    code: str
    'As documented to applications, such as `"zh-HK"`.'
    name: str
    espeak_voice: str
    'Name of the espeak-ng voice, such as `"yue"`, without a variant for the gender.'
    spoken: bool = True
    "Whether it can be spoken at all."
    genders: frozenset[str] = GENDERS
    "Every espeak-ng voice has variants of both."


LANGUAGES: Final = (
    Language("en", "English", "en-gb"),
    Language("en-GB", "English (United Kingdom)", "en-gb"),
    Language("en-US", "English (United States)", "en-us"),
    # espeak-ng has no Australian voice; the British one is understood there.
    Language("en-AU", "English (Australia)", "en-gb"),
    Language("zh", "Chinese (Mandarin)", "cmn"),
    Language("zh-CN", "Chinese (Mandarin, China)", "cmn"),
    Language("zh-TW", "Chinese (Mandarin, Taiwan)", "cmn"),
    Language("zh-HK", "Chinese (Cantonese)", "yue"),
    Language("ko", "Korean", "ko"),
    Language("ms", "Malay", "ms"),
    Language("ta", "Tamil", "ta"),
    Language("hi", "Hindi", "hi"),
    Language("id", "Indonesian", "id"),
    Language("vi", "Vietnamese", "vi"),
    Language("ca", "Catalan", "ca"),
    Language("cs", "Czech", "cs"),
    Language("da", "Danish", "da"),
    Language("de", "German", "de"),
    Language("el", "Greek", "el"),
    Language("es", "Spanish", "es"),
    Language("fi", "Finnish", "fi"),
    Language("fr", "French", "fr"),
    Language("hu", "Hungarian", "hu"),
    Language("it", "Italian", "it"),
    Language("nb", "Norwegian", "nb"),
    Language("nl", "Dutch", "nl"),
    Language("no", "Norwegian", "nb"),
    Language("pl", "Polish", "pl"),
    Language("pt", "Portuguese", "pt"),
    Language("pt-BR", "Portuguese (Brazil)", "pt-br"),
    Language("ro", "Romanian", "ro"),
    Language("ru", "Russian", "ru"),
    Language("sk", "Slovak", "sk"),
    Language("sv", "Swedish", "sv"),
    Language("tr", "Turkish", "tr"),
    Language("ja", "Japanese", "ja", spoken=False),
    Language("th", "Thai", "th", spoken=False),
)

_BY_CODE: Final = MappingProxyType({language.code.lower(): language for language in LANGUAGES})


def find_language(code: str) -> Language | None:
    """The language of a code in any spelling, spoken or not; `None` where unknown."""
    # Codes are ASCII: lower() would turn the Kelvin sign into a k.
    return _BY_CODE.get(code.replace("_", "-").lower()) if code.isascii() else None


def check_spoken(parts: Iterable[Part]) -> tuple[Part, ...]:
    """
    Check the voices that `msg` asks for.

    Returns:
        The same parts, with language codes and genders as the table spells them, so that
        the same speech is the same to a cache.

    Raises:
        InvalidRequest: `error_msg_invalid_language` if one is unknown or not spoken; else
            `error_msg_invalid_gender` if one has no such voice.
    """
    checked = tuple(parts)
    languages = [_language_of(part) for part in checked]
    return tuple(map(_with_voice, checked, languages))


def _language_of(part: Part) -> Language | None:
    """The part's language; `None` where it is no speech."""
    if isinstance(part, UrlPart):
        return None
    language = find_language(part.language)
    if language is None or not language.spoken:
        raise InvalidRequest("error_msg_invalid_language")
    return language


def _with_voice(part: Part, language: Language | None) -> Part:
    if not isinstance(part, SpeechPart) or language is None:
        return part
    gender = part.gender.lower()
    if gender not in language.genders:
        raise InvalidRequest("error_msg_invalid_gender")
    return SpeechPart(part.text, language.code, gender)
