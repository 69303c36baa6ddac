"""Every block: what it reads, and the documented status of everything malformed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voiceblocks.blocks
from voiceblocks.blocks import answer
from voiceblocks.blocks.command import BlockKind, Request
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.gather import UNLIMITED_DIGITS, GatherCommand
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.msg import SpeechPart, TextPart, UrlPart
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.registry import APIS, BLOCKS, REQUESTS, SESSION_BLOCKS, kind_of

from . import status_of

REQUEST_CLASSES = sorted(set(APIS.values()), key=lambda request: request.block)

# What some request or other cannot do without.
REQUIRED = MappingProxyType(
    {
        "session": "S-1",
        "notify_url": "https://a.example/h",
        "dest": "+6591234567",
        "dest1": "+6591234567",
        "dest2": "+6598765432",
        "txn_ref": "AA-S-1-abc",
        "action": "kick",
        "country": "SG",
        "number": "+6531580001",
        "duration": "3",
        "recording": "rec-" + "0f" * 16,
    }
)

# Field, bad value, status; for every request that declares the status of the field.
MALFORMED = [
    ("session", "", "error_session_param_missing"),
    ("msg", "x" * 1001, "error_msg_invalid_length"),
    ("msg", "<speech>", "error_msg_invalid_xml"),
    ("msg", "<url>ftp://a.example/x.mp3</url>", "error_msg_invalid_url"),
    ("msg", "<url>http://a.example/x.ogg</url>", "error_msg_invalid_file_format"),
    *(
        ("max_duration", value, status)
        for status in ("error_invalid_max_duration", "error_max_duration_invalid")
        for value in ("0", "86401", "1.5", "-1", "soon")
    ),
    ("format", "ogg", "error_invalid_format"),
    ("beep", "0", "error_invalid_beep"),
    ("finish_key", "A", "error_invalid_finish_key"),
    ("finish_key", "##x", "error_invalid_finish_key"),
    *(("max_silence", value, "error_invalid_max_silence") for value in ("0", "3601", "1.5")),
    ("trim", "yes", "error_invalid_trim"),
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
    ("notify_url", "", "error_notify_url_param_missing"),
    ("monitor_notify_url", "nonsense", "error_invalid_notify_url"),
    ("monitor_notify_url", "http://a.example/" + "x" * 4000, "error_invalid_notify_url"),
    *(
        case
        for name in ("dest", "dest1", "dest2")
        for case in (
            (name, "nonsense", f"error_{name}_invalid"),
            (name, "+0123456789", f"error_{name}_invalid"),
            (name, "+659123456", f"error_{name}_invalid"),
            (name, "", f"error_{name}_param_missing"),
        )
    ),
    ("dest", ",".join(f"+6591234{n}" for n in range(561, 570)), "error_dest_too_many"),
    ("dest", "+6591234567,nobody", "error_dest_invalid"),
    ("dest", "room:my room", "error_invalid_room"),
    ("dest", "room:" + "x" * 33, "error_invalid_room"),
    ("dest2", REQUIRED["dest1"], "error_same_dest1_dest2"),
    ("room", "my room", "error_invalid_room"),
    ("room", "x" * 33, "error_invalid_room"),
    ("caller_id", "anonymous", "error_caller_id_invalid"),
    ("on_failure", "retry", "error_on_failure_invalid"),
    ("txn_ref", "", "error_txn_ref_param_missing"),
    ("txn_ref", "x" * 49, "error_txn_ref_invalid"),
    ("recording", "", "error_recording_param_missing"),
    ("recording", "rec-" + "0F" * 16, "error_recording_invalid"),
    ("reason", "x" * 501, "error_reason_invalid_length"),
    ("ttl", "315360001", "error_ttl_invalid"),
    ("ttl", "1h", "error_ttl_invalid"),
    ("once", "1", "error_once_invalid"),
    ("action", "", "error_action_param_missing"),
    ("action", "ban", "error_action_invalid"),
    ("from", "yesterday", "error_from_invalid"),
    ("from", "2012-02-30 00:00:00", "error_from_invalid"),
    ("to", "2012-01-31T", "error_to_invalid"),
    ("page", "0", "error_page_invalid"),
    ("page", "next", "error_page_invalid"),
    ("page_size", "0", "error_page_size_invalid"),
    ("page_size", "101", "error_page_size_invalid"),
    ("country", "", "error_country_param_missing"),
    ("number", "", "error_number_param_missing"),
    ("number", "home", "error_number_invalid"),
    ("duration", "", "error_duration_param_missing"),
    ("duration", "2", "error_invalid_duration"),
    ("duration", "12.0", "error_invalid_duration"),
    ("auto_extend", "maybe", "error_auto_extend_not_available"),
    ("forward_to", "nonsense", "error_forward_to_invalid"),
    ("forward_to", "http://a.example/" + "x" * 4000, "error_forward_to_invalid"),
    ("forward_sms_to", "https://a.example/sms", "error_incoming_sms_not_supported"),
    ("mode", "fax", "error_mode_invalid"),
    ("block", "play", "error_block_invalid"),
]

# Given by the workflows: they need the network, the session, the account or the trunks.
WORKFLOW_STATUSES = frozenset(
    {
        "error_recording_access_denied",
        "error_recording_not_ready",
        "error_recording_on_hold",
        "error_recording_space_low",
        "error_recording_quota_reached",
        "error_recording_sealed",
        "error_invalid_session",
        "error_session_access_denied",
        "error_session_ended",
        "error_session_not_ready",
        "error_session_not_on_hold",
        "error_session_not_recording",
        "error_monitor_in_progress",
        "error_msg_invalid_language",
        "error_msg_invalid_gender",
        "error_msg_cannot_convert_text",
        "error_msg_download_failed",
        "error_msg_invalid_file_size",
        "error_unable_to_resolve_notify_url",
        "error_unable_to_complete_ssl_handshake_notify_url",
        "error_dest_not_supported",
        "error_dest1_not_supported",
        "error_dest2_not_supported",
        "error_call_service_not_available",
        "error_not_allowed_for_trial",
        "error_insufficient_credit",
        "error_concurrent_call_limit_reached",
        "error_txn_ref_access_denied",
        "error_state_param_missing",
        "error_number_not_available",
        "error_exceed_max_subscriptions",
        "error_number_not_assigned",
        "error_unable_to_resolve_forward_to",
    }
)

# An absent dest1 of a call is the account's registered number: only a workflow misses it.
FILLED_LATER = ("call", "error_dest1_param_missing")


def _cases() -> Iterator[tuple[type[Request], str, str, str]]:
    for request_class in REQUEST_CLASSES:
        statuses = {item.name: item.statuses for item in request_class.parameters}
        for field, value, status in MALFORMED:
            filled_later = (request_class.block, status) == FILLED_LATER
            if status in statuses.get(field, ()) and not filled_later:
                yield request_class, field, value, status


@pytest.mark.parametrize(("request_class", "field", "value", "status"), list(_cases()))
def test_each_malformed_field_has_its_status(
    request_class: type[Request], field: str, value: str, status: str
) -> None:
    """One bad field among good ones gives its documented status."""
    fields = Fields({**REQUIRED, field: value}.items())
    assert status_of(lambda: request_class.from_fields(fields)) == status


@pytest.mark.parametrize("request_class", REQUEST_CLASSES, ids=lambda item: item.block)
def test_every_status_of_reading_is_provoked(request_class: type[Request]) -> None:
    """What a request declares is in the table above, or comes from a workflow."""
    declared = {
        (item.name, status) for item in request_class.parameters for status in item.statuses
    }
    tried = {(field, status) for field, _, status in MALFORMED} | {("to", "error_to_before_from")}
    assert {status for _, status in declared - tried} <= WORKFLOW_STATUSES


@pytest.mark.parametrize("request_class", REQUEST_CLASSES, ids=lambda item: item.block)
def test_fields_are_checked_in_their_documented_order(request_class: type[Request]) -> None:
    """With everything wrong, mending field after field shows the statuses in the page's order."""
    bad: dict[str, str] = {}
    request: dict[str, str] = {}
    for parameter in request_class.parameters:
        for field, value, status in MALFORMED:
            if field == parameter.name and value and status in parameter.statuses:
                bad.setdefault(field, status)
                request.setdefault(field, value)
    for parameter in request_class.parameters:
        if parameter.name in bad:
            status = status_of(lambda: request_class.from_fields(Fields(request.items())))
            assert status == bad[parameter.name]
        request[parameter.name] = REQUIRED.get(parameter.name, "")
    request_class.from_fields(Fields(request.items()))


_VALUES = st.one_of(
    st.sampled_from(["", "S-1", "5", "enabled", "http://a.example/h", "<speech>x</speech>"]),
    st.sampled_from(["+6591234567", " 6591234567,6598765432", "room:", "+1room:R1", "private"]),
    st.sampled_from(["kick", "continue", "2012-01-31 12:06:15.0", "0001-01-01", "9999-12-31"]),
    st.text(max_size=30),
)


@pytest.mark.parametrize("request_class", REQUEST_CLASSES, ids=lambda item: item.block)
def test_any_fields_give_a_request_or_a_declared_status(request_class: type[Request]) -> None:
    """Whatever is sent, only statuses that the parameters declare come out."""
    declared = {status for parameter in request_class.parameters for status in parameter.statuses}
    known = [parameter.name for parameter in request_class.parameters]
    names = st.sampled_from([*known, "appVersion"])

    @given(st.booleans(), st.lists(st.tuples(names, _VALUES), max_size=8))
    def check(completed: bool, pairs: list[tuple[str, str]]) -> None:
        sent = [*pairs, *(REQUIRED.items() if completed else ())]
        status = status_of(lambda: request_class.from_fields(Fields(sent)))
        assert status is None or status in declared

    check()


@pytest.mark.parametrize("request_class", REQUEST_CLASSES, ids=lambda item: item.block)
def test_empty_means_absent_and_unknown_is_ignored(request_class: type[Request]) -> None:
    """.NET and Go clients send every optional field, empty; others send what nobody knows."""
    needed = {item.name: REQUIRED[item.name] for item in request_class.parameters if item.required}
    optional = {item.name: "" for item in request_class.parameters if not item.required}
    unknown = {"appVersion": "1", "ipAddress": "::1", "callerID": "x", "resultFrom": "x"}
    expected = request_class.from_fields(Fields(needed.items()))
    assert request_class.from_fields(Fields({**needed, **optional, **unknown}.items())) == expected


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


@pytest.mark.parametrize("path", sorted(BLOCKS))
def test_the_registry_is_consistent(path: str) -> None:
    """A block's path is made of its kind and name; where it has a session, that comes first."""
    command, kind = BLOCKS[path].command, BLOCKS[path].kind
    assert path == f"ivr/{kind}/{command.block}"
    assert kind_of(command.block) is kind
    assert (kind is BlockKind.START) is (path not in SESSION_BLOCKS)
    assert (command.parameters[0].name == "session") is (path in SESSION_BLOCKS)
    assert ("session" in get_type_hints(command)) is (path in SESSION_BLOCKS)


@pytest.mark.parametrize("path", sorted(APIS))
def test_a_request_is_found_by_its_name(path: str) -> None:
    """A request's file bears its name, each field is a parameter's, and each is explained."""
    request_class = APIS[path]
    assert request_class.__module__ == f"voiceblocks.blocks.{request_class.block}"
    assert (request_class.__doc__ or "").splitlines()[0].endswith(".")
    names = [parameter.name for parameter in request_class.parameters]
    assert len(set(names)) == len(names)
    for parameter in request_class.parameters:
        assert parameter.summary.endswith(".")


def test_every_file_of_a_request_is_registered() -> None:
    """A new request's file without its line in the registry is found here."""
    shared = {
        "__init__",
        "answer",
        "call_limit",
        "command",
        "countries",
        "fields",
        "msg",
        "numbers",
        "recording_shape",
        "recordings",
        "registry",
        "ring_time",
        "rooms",
        "running_recordings",
        "transactions",
        "urls",
    }
    files = {path.stem for path in Path(voiceblocks.blocks.__file__).parent.glob("*.py")}
    assert files - shared == {request_class.block for request_class in REQUEST_CLASSES}
    assert not set(BLOCKS) & set(REQUESTS)


def test_answer_is_a_start_block_without_a_path() -> None:
    """Nobody can ask for `answer`; it is only told."""
    assert (answer.BLOCK, answer.KIND) == ("answer", BlockKind.START)
    assert not any(path.endswith("/answer") for path in BLOCKS)
