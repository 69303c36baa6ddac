"""Which languages there are, and how well each is spoken by espeak-ng.

The original's table is not known; its known codes are en, zh, zh-HK, ja and ko, its
genders female and male. Which of them can be spoken depends on the node: espeak-ng
speaks most of them, Piper what its voices speak, a speech server what the operator
says. A language that none of them can speak properly is refused, since a wrong prompt
is worse than a refused one.

Codes are read in any case, with `_` for `-`: `zh_hk` is `zh-HK`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from voiceblocks.blocks.msg import Part, SpeechPart, TextPart, UrlPart
from voiceblocks.errors import InvalidRequest

GENDERS: Final = frozenset({"female", "male"})


class Grade(StrEnum):
    """How well espeak-ng speaks a language: judged by its phonemes (`docs/speech.md`)."""

    CLEAR = "clear"
    "The right sounds, by a machine's voice."
    ROUGH = "rough"
    "The right words, with a strong accent or flaws that cost attention."
    NOT = "not"
    "It has no such voice, or reads the script wrong."


@dataclass(frozen=True, slots=True)
class Language:
    """A language that `msg` may ask for."""

    code: str
    'As documented to applications, such as `"zh-HK"`.'
    name: str
    espeak_voice: str = ""
    'Name of the espeak-ng voice, such as `"yue"`, without a variant for the gender.'
    espeak: Grade = Grade.CLEAR
    note: str = ""
    "What an operator should know of it."
    also: tuple[str, ...] = ()
    "Codes whose Piper voices are understood, too, the best first."
    aliases: tuple[str, ...] = ()
    "Other codes for it."
    scripts: frozenset[str] = frozenset({"LATIN"})
    "First words of its letters' Unicode names."
    text_tells: bool = True
    "Whether an engine that is told no language takes the text for this one."


_CHINESE = frozenset({"CJK"})
_CYRILLIC = frozenset({"CYRILLIC"})
_READ_IN_EVERY_LANGUAGE = frozenset({"LATIN", "HANGUL", "TAMIL", "DEVANAGARI"})
_TONES = "Machine tones; context decides, not the ear"

LANGUAGES: Final = (
    Language("en", "English", "en-gb", also=("en-GB", "en-US", "en-AU")),
    Language("en-GB", "English (United Kingdom)", "en-gb"),
    Language("en-US", "English (United States)", "en-us"),
    Language("en-AU", "English (Australia)", "en-gb", also=("en-GB",),
             note="No Australian voice in espeak-ng: a British one"),
    Language("zh", "Chinese (Mandarin)", "cmn", Grade.ROUGH, _TONES, aliases=("cmn",),
             also=("zh-CN", "zh-TW"), scripts=_CHINESE),
    Language("zh-CN", "Chinese (Mandarin, China)", "cmn", Grade.ROUGH, _TONES, also=("zh",),
             aliases=("zh-Hans", "cmn-CN"), scripts=_CHINESE),
    Language("zh-TW", "Chinese (Mandarin, Taiwan)", "cmn", Grade.ROUGH,
             "Traditional characters are read; the accent is the mainland's",
             also=("zh", "zh-CN"), aliases=("zh-Hant", "cmn-TW"), scripts=_CHINESE),
    Language("zh-HK", "Chinese (Cantonese)", "yue", Grade.ROUGH,
             "Written Cantonese is read, too. A server must be told: text alone reads as Mandarin",
             aliases=("yue", "yue-HK"), scripts=_CHINESE, text_tells=False),
    Language("ja", "Japanese", "ja", Grade.NOT, 'espeak-ng says "Chinese letter" for kanji',
             aliases=("ja-JP",), scripts=frozenset({"CJK", "HIRAGANA", "KATAKANA"})),
    Language("ko", "Korean", "ko", Grade.ROUGH, "Sounds are right, rhythm is not",
             aliases=("ko-KR",), scripts=frozenset({"HANGUL"})),
    Language("ms", "Malay", "ms", aliases=("ms-MY",)),
    Language("ta", "Tamil", "ta", Grade.ROUGH, "Read letter by letter as written",
             aliases=("ta-IN", "ta-SG"), scripts=frozenset({"TAMIL"})),
    Language("hi", "Hindi", "hi", aliases=("hi-IN",), scripts=frozenset({"DEVANAGARI"})),
    Language("id", "Indonesian", "id", aliases=("id-ID",)),
    Language("th", "Thai", "th", Grade.NOT,
             "espeak-ng has no dictionary of Thai: vowels are missing, tones are wrong",
             aliases=("th-TH",), scripts=frozenset({"THAI"})),
    Language("vi", "Vietnamese", "vi", Grade.ROUGH, _TONES, aliases=("vi-VN",)),
    Language("tl", "Tagalog", "", Grade.NOT, "espeak-ng has no such voice",
             aliases=("tl-PH", "fil", "fil-PH")),
    Language("bg", "Bulgarian", "bg", scripts=_CYRILLIC),
    Language("ca", "Catalan", "ca"),
    Language("cs", "Czech", "cs"),
    Language("da", "Danish", "da", Grade.ROUGH, "Its stød is a glottal stop each time"),
    Language("de", "German", "de"),
    Language("el", "Greek", "el", scripts=frozenset({"GREEK"})),
    Language("es", "Spanish", "es"),
    Language("et", "Estonian", "et"),
    Language("fi", "Finnish", "fi"),
    Language("fr", "French", "fr"),
    Language("hr", "Croatian", "hr"),
    Language("hu", "Hungarian", "hu"),
    Language("it", "Italian", "it"),
    Language("lt", "Lithuanian", "lt"),
    Language("lv", "Latvian", "lv"),
    Language("nb", "Norwegian", "nb", also=("no",)),
    Language("nl", "Dutch", "nl"),
    Language("no", "Norwegian", "nb", also=("nb",)),
    Language("pl", "Polish", "pl"),
    Language("pt", "Portuguese", "pt", also=("pt-BR",)),
    Language("pt-BR", "Portuguese (Brazil)", "pt-br"),
    Language("ro", "Romanian", "ro"),
    Language("ru", "Russian", "ru", scripts=_CYRILLIC),
    Language("sk", "Slovak", "sk"),
    Language("sl", "Slovenian", "sl"),
    Language("sv", "Swedish", "sv"),
    Language("tr", "Turkish", "tr"),
    Language("uk", "Ukrainian", "uk", scripts=_CYRILLIC),
)  # fmt: skip

_BY_CODE: Final = MappingProxyType(
    {
        code.lower(): language
        for language in LANGUAGES
        for code in (language.code, *language.aliases)
    }
)


def find_language(code: str) -> Language | None:
    """The language of a code in any spelling, spoken or not; `None` where unknown."""
    # Codes are ASCII: lower() would turn the Kelvin sign into a k.
    return _BY_CODE.get(code.replace("_", "-").lower()) if code.isascii() else None


def find_language_of_voice(code: str) -> Language | None:
    """
    The language that a voice speaks, by its own code: `es_MX` is Spanish of some kind.

    Chinese of a region that is unknown to us is nothing, since it may be any language.
    """
    family = code.replace("_", "-").partition("-")[0]
    return find_language(code) or (None if family.lower() == "zh" else find_language(family))


def can_read(language: Language, text: str) -> bool:
    """
    Whether espeak-ng's voice reads any letter of `text` as more than its name.

    Whatever the language, some scripts are read by their own voice, Latin as English.
    Text without letters counts as readable.
    """
    letters = [character for character in text if character.isalpha()]
    scripts = language.scripts | _READ_IN_EVERY_LANGUAGE
    return not letters or any(_script(character) in scripts for character in letters)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").replace("FULLWIDTH ", "").partition(" ")[0]


def check_spoken(
    parts: Iterable[Part], genders_of: Callable[[Language], Collection[str]]
) -> tuple[Part, ...]:
    """
    Check the voices that `msg` asks for.

    Args:
        parts: Of the `msg`. Plain text asks for no voice and passes.
        genders_of: In which genders a language is spoken here and now; none: not at all.

    Returns:
        The same parts, with language codes and genders as the table spells them, so that
        the same speech is the same to a cache.

    Raises:
        InvalidRequest: `error_msg_invalid_language` if one is unknown or not spoken; else
            `error_msg_invalid_gender` if one has no such voice.
    """
    checked = tuple(parts)
    languages = [_language_of(part, genders_of) for part in checked]
    return tuple(
        part if language is None else _with_voice(part, language, genders_of(language))
        for part, language in zip(checked, languages, strict=True)
    )


def _language_of(part: Part, genders_of: Callable[[Language], Collection[str]]) -> Language | None:
    """The part's language; `None` where it asks for none."""
    if isinstance(part, UrlPart | TextPart):
        return None
    language = find_language(part.language)
    if language is None or not genders_of(language):
        raise InvalidRequest("error_msg_invalid_language")
    return language


def _with_voice(part: Part, language: Language, genders: Collection[str]) -> Part:
    assert isinstance(part, SpeechPart)
    gender = part.gender.lower()
    if gender not in genders:
        raise InvalidRequest("error_msg_invalid_gender")
    return SpeechPart(part.text, language.code, gender)
