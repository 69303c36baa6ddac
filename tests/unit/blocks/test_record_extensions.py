"""Extensions of record: off by default. What is unknown has a status: see `test_commands`."""

from __future__ import annotations

from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.record import RecordCommand


def read(**fields: str) -> RecordCommand:
    """A request with these fields beside the session."""
    return RecordCommand.from_fields(Fields([("session", "S-1"), *fields.items()]))


def test_without_extensions_a_record_is_as_documented() -> None:
    """An old client gets an MP3, a beep, and `#` ends it; silence neither ends nor shortens it."""
    command = read()
    assert (command.format, command.beeps, command.finish_keys) == ("mp3", True, "#")
    assert not command.trims_silence
    assert command.max_silence_s is None


def test_every_extension_is_read() -> None:
    """Case does not matter, and keys may come twice."""
    command = read(format="WAV", beep="no", finish_key="*#*0", trim="silence", max_silence="7")
    assert (command.format, command.beeps) == ("wav", False)
    assert set(command.finish_keys) == set("*#0")
    assert command.trims_silence
    assert command.max_silence_s == 7


def test_no_key_at_all_may_end_it() -> None:
    """`finish_key=none`: only the limit and the end of the call do."""
    assert read(finish_key="none").finish_keys == ""
