"""The table of languages as people read it: in `docs/speech.md` and at `/docs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from voiceblocks.speech.languages import LANGUAGES, Grade, Language

HEADINGS = ("Code", "Language", "espeak-ng", "Piper", "Speech server", "Note")

_NOT_SPOKEN = "no"


def language_rows() -> list[tuple[str, ...]]:
    """A row for each language, under `HEADINGS`: what each engine makes of it, anywhere."""
    return [
        (
            language.code,
            language.name,
            _NOT_SPOKEN if language.espeak is Grade.NOT else language.espeak.value,
            _piper(language),
            "yes" if language.text_tells else "if named",
            language.note,
        )
        for language in LANGUAGES
    ]


def language_table() -> str:
    """The rows as Markdown."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS)]
    for code, *others in language_rows():
        lines.append((f"`{code}`", *others))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spoken_here(speakers_of: Callable[[Language], Mapping[str, str]]) -> list[str]:
    """For each row: who speaks it on this node now, by gender; or that it is refused."""
    return [
        ", ".join(f"{gender}: {engine}" for gender, engine in speakers_of(language).items())
        or "refused"
        for language in LANGUAGES
    ]


def _piper(language: Language) -> str:
    if language.espeak is Grade.NOT and language.espeak_voice:
        # A voice with espeak-ng's phonemes would repeat espeak-ng's mistakes.
        return "voices that take text"
    if language.also:
        return f"its voices, else {', '.join(language.also)}"
    return "its voices"
