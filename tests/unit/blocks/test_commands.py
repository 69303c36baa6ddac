"""Every block: what it reads, and the documented status of everything malformed."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voiceblocks.blocks
from voiceblocks.blocks import answer
from voiceblocks.blocks.command import BlockKind, Command
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.gather import UNLIMITED_DIGITS, GatherCommand
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.msg import SpeechPart, TextPart, UrlPart
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.registry import BLOCKS, kind_of
from voiceblocks.errors import InvalidRequest

from . import status_of

COMMANDS = [entry.command for entry in BLOCKS.values()]

# What some block or other cannot do without.
REQUIRED = {"session": "S-1", "notify_url": "https://a.example/h"}

# Field, bad value, status; for every block that has the field.
MALFORMED = [
    ("session", "", "error_session_param_missing"),
    ("msg", "x" * 1001, "error_msg_invalid_length"),
    ("msg", "<speech>", "error_msg_invalid_xml"),
    ("msg", "<url>ftp://a.example/x.mp3</url>", "error_msg_invalid_url"),
    ("msg", "<url>http://a.example/x.ogg</url>", "error_msg_invalid_file_format"),
    ("max_duration", "0", "error_invalid_max_duration"),
    ("max_duration", "86401", "error_invalid_max_duration"),
    ("max_duration", "1.5", "error_invalid_max_duration"),
    ("max_duration", "-1", "error_invalid_max_duration"),
    ("max_duration", "soon", "error_invalid_max_duration"),
    ("max_digits", "256", "error_invalid_max_digits"),
    ("max_digits", "-1", "error_invalid_max_digits"),
    ("max_digits", "4.0", "error_invalid_max_digits"),
    ("timeout", "0", "error_invalid_timeout"),
    ("timeout", "301", "error_invalid_timeout"),
    ("timeout", "10s", "error_invalid_timeout"),
    ("attempts", "0", "error_invalid_attempts"),
    ("attempts", "11", "error_invalid_attempts"),
    ("attempts", "twice", "error_invalid_attempts"),
    ("tag", "x" * 257, "error_tag_invalid_length"),
    ("notify_url", "nonsense", "error_invalid_notify_url"),
    ("notify_url", "http://a.example/" + "x" * 4000, "error_invalid_notify_url"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.block)
@pytest.mark.parametrize(("field", "value", "status"), MALFORMED)
def test_each_malformed_field_has_its_status(
    command: type[Command], field: str, value: str, status: str
) -> None:
    """A single bad field gives its documented status; another block's field is ignored."""
    fields = Fields({**REQUIRED, field: value}.items())
    if field in {parameter.name for parameter in command.parameters}:
        with pytest.raises(InvalidRequest) as refused:
            command.from_fields(fields)
        assert refused.value.status == status
    else:
        assert command.from_fields(fields) == command.from_fields(Fields(REQUIRED.items()))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.block)
def test_fields_are_checked_in_their_documented_order(command: type[Command]) -> None:
    """With everything wrong, mending field after field shows the statuses in the page's order."""
    bad: dict[str, tuple[str, str]] = {}
    for field, value, status in MALFORMED:
        bad.setdefault(field, (value, status))
    request = {field: value for field, (value, _) in bad.items()}
    for parameter in command.parameters:
        if parameter.name not in bad:
            continue
        with pytest.raises(InvalidRequest) as refused:
            command.from_fields(Fields(request.items()))
        assert refused.value.status == bad[parameter.name][1]
        request[parameter.name] = REQUIRED.get(parameter.name, "")
    command.from_fields(Fields(request.items()))


_VALUES = st.one_of(
    st.sampled_from(["", "S-1", "5", "enabled", "http://a.example/h", "<speech>x</speech>"]),
    st.text(max_size=30),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.block)
def test_any_fields_give_a_command_or_a_declared_status(command: type[Command]) -> None:
    """Whatever is sent, only statuses that the parameters declare come out."""
    declared = {status for parameter in command.parameters for status in parameter.statuses}
    names = st.sampled_from([parameter.name for parameter in command.parameters])

    @given(st.lists(st.tuples(names, _VALUES), max_size=8))
    def check(pairs: list[tuple[str, str]]) -> None:
        status = status_of(lambda: command.from_fields(Fields(pairs)))
        assert status is None or status in declared

    check()


def test_record_reads_everything() -> None:
    """All fields of the Record page arrive in the command."""
    assert RecordCommand.from_fields(
        Fields(
            {
                "session": "S-1",
                "msg": "Speak now.",
                "max_duration": "30",
                "tag": "t 1",
                "notify_url": "https://a.example/hook?x=1",
            }.items()
        )
    ) == RecordCommand(
        session="S-1",  # type: ignore[arg-type]
        msg=(TextPart("Speak now."),),
        max_duration_s=30,
        tag="t 1",
        notify_url="https://a.example/hook?x=1",
    )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, {}),
        ({"max_digits": "", "timeout": "", "attempts": "", "msg": "", "tag": ""}, {}),
        ({"max_digits": "0"}, {"max_digits": UNLIMITED_DIGITS}),
        ({"max_digits": "1"}, {"max_digits": 1}),
        ({"max_digits": "255"}, {"max_digits": 255}),
        ({"timeout": "1"}, {"timeout_s": 1}),
        ({"timeout": "300"}, {"timeout_s": 300}),
        ({"attempts": "10"}, {"attempts": 10}),
        ({"msg": "Your PIN?"}, {"msg": (TextPart("Your PIN?"),)}),
        ({"tag": "askZip"}, {"tag": "askZip"}),
    ],
)
def test_gather_reads_everything(sent: dict[str, str], expected: dict[str, object]) -> None:
    """Each field, at the ends of its range; left out or empty it is its default."""
    command = GatherCommand.from_fields(Fields({**REQUIRED, **sent}.items()))
    defaults = {
        "session": "S-1",
        "notify_url": "https://a.example/h",
        "msg": (),
        "max_digits": UNLIMITED_DIGITS,
        "timeout_s": 15,
        "attempts": 1,
        "tag": "",
    }
    read = {name: getattr(command, name) for name in defaults}
    assert read == {**defaults, **expected}


@pytest.mark.parametrize("sent", [{}, {"notify_url": ""}])
def test_gather_needs_a_notify_url(sent: dict[str, str]) -> None:
    """What nobody hears of need not be asked."""
    fields = Fields({"session": "S-1", **sent}.items())
    assert status_of(lambda: GatherCommand.from_fields(fields)) == "error_notify_url_param_missing"


def test_dotnet_empties_are_the_defaults() -> None:
    """.NET and Go clients send every optional field, empty: that is the same as none."""
    sent = "caller_id=&tag=&notify_url=&msg=&max_digits=&timeout=&attempts=&max_duration="
    pairs = [("session", "S-1"), *((pair.partition("=")[0], "") for pair in sent.split("&"))]
    command = RecordCommand.from_fields(Fields(pairs))
    assert command == RecordCommand(session=command.session)
    assert (command.max_duration_s, command.msg, command.tag, command.notify_url) == (
        120,
        (),
        "",
        None,
    )


def test_a_message_with_two_roots() -> None:
    """SantaCall sends speech and audio beside each other, without a common root."""
    command = PlayCommand.from_fields(
        Fields(
            {
                "session": "S-1",
                "msg": '<speech language="en"  gender="male">Ho ho</speech>'
                "<url>http://a.example/song.mp3</url>",
            }.items()
        )
    )
    assert command.msg == (
        SpeechPart("Ho ho", "en", "male"),
        UrlPart("http://a.example/song.mp3"),
    )


@pytest.mark.parametrize(
    ("force", "forced"),
    [("enabled", True), ("ENABLED", True), ("", False), ("disabled", False), ("true", False)],
)
def test_force_is_enabled_or_absent(force: str, forced: bool) -> None:
    """Only `enabled` forces; every other value counts as none."""
    fields = Fields([("session", "S-1"), ("force", force), ("msg", "Bye")])
    command = HangupCommand.from_fields(fields)
    assert command.force is forced
    assert command.msg == (() if forced else (TextPart("Bye"),))


def test_a_forced_hangup_does_not_read_msg() -> None:
    """Not even a malformed message stands in the way of a forced hang-up."""
    fields = Fields([("session", "S-1"), ("force", "enabled"), ("msg", "<speech>")])
    assert HangupCommand.from_fields(fields).force


@pytest.mark.parametrize(("path", "entry"), BLOCKS.items())
def test_the_registry_is_consistent(path: str, entry: object) -> None:
    """Each path is made of the block's kind and name, its file bears its name, session is first."""
    command, kind = BLOCKS[path].command, BLOCKS[path].kind
    assert path == f"ivr/{kind}/{command.block}"
    assert command.__module__ == f"voiceblocks.blocks.{command.block}"
    assert kind_of(command.block) is kind
    assert command.parameters[0].name == "session"
    assert get_type_hints(command)["session"] is not None
    for parameter in command.parameters:
        assert parameter.summary.endswith((".", "omitted.", "#."))


def test_every_file_of_a_block_is_registered() -> None:
    """A new block's file without its line in the registry is found here."""
    shared = {"__init__", "answer", "command", "fields", "msg", "registry", "urls"}
    files = {path.stem for path in Path(voiceblocks.blocks.__file__).parent.glob("*.py")}
    assert files - shared == {command.block for command in COMMANDS}


def test_answer_is_a_start_block_without_a_path() -> None:
    """Nobody can ask for `answer`; it is only told."""
    assert (answer.BLOCK, answer.KIND) == ("answer", BlockKind.START)
    assert not any(path.endswith("/answer") for path in BLOCKS)
