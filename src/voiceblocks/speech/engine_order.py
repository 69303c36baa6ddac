"""Which engine is asked first, by language: the setting `SPEECH_ENGINES`.

`piper,openai,espeak-ng; th=openai; zh=openai,piper`: an order for all languages, then
those that have their own. `zh=` also counts for `zh-TW`, unless that is named. An
engine that is left out does not speak the language at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from voiceblocks.speech.languages import LANGUAGES, Language, find_language

ESPEAK: Final = "espeak-ng"
PIPER: Final = "piper"
OPENAI: Final = "openai"
ENGINES: Final = (PIPER, OPENAI, ESPEAK)
"In their default order: a natural voice on this machine, a server, a machine's voice."


@dataclass(frozen=True, slots=True)
class EngineOrder:
    """An order of engines for each language."""

    default: tuple[str, ...] = ENGINES
    by_language: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    "By code as the table spells it."

    def of(self, language: Language) -> tuple[str, ...]:
        """The engines to ask for a language, in turn."""
        family = language.code.partition("-")[0]
        return self.by_language.get(language.code) or self.by_language.get(family, self.default)


DEFAULT_ORDER: Final = EngineOrder()


def parse_engine_order(text: str) -> EngineOrder:
    """
    Read the setting; empty means the default.

    Raises:
        ValueError: With a sentence that says what to write.
    """
    default: tuple[str, ...] = ENGINES
    by_language: dict[str, tuple[str, ...]] = {}
    for entry in filter(None, (piece.strip() for piece in text.split(";"))):
        code, is_language, engines = entry.rpartition("=")
        if is_language:
            by_language[known_language(code.strip()).code] = _engines(engines)
        else:
            default = _engines(engines)
    return EngineOrder(default, MappingProxyType(by_language))


def known_language(code: str) -> Language:
    """
    Find a language that an operator names.

    Raises:
        ValueError: With a sentence that says which there are.
    """
    language = find_language(code)
    if language is None:
        known = ", ".join(each.code for each in LANGUAGES)
        raise ValueError(f"{code!r} is none of our languages: {known}")
    return language


def _engines(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in ENGINES:
            raise ValueError(f"{name!r} is no speech engine: write some of {', '.join(ENGINES)}")
    if not names:
        raise ValueError(f"an order of engines is empty: write some of {', '.join(ENGINES)}")
    return names
