"""What each of the outgoing blocks and voice requests makes of its fields."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.blocks.call import CallCommand
from voiceblocks.blocks.conference import ConferenceCommand
from voiceblocks.blocks.dial import DialCommand
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.get_history import GetHistoryCommand
from voiceblocks.blocks.hold import HoldCommand
from voiceblocks.blocks.moderate import ModerateAction, ModerateCommand
from voiceblocks.blocks.monitor import MonitorCommand
from voiceblocks.blocks.msg import TextPart
from voiceblocks.blocks.ring_time import RING_TIME, RINGTIME
from voiceblocks.blocks.rooms import ROOM
from voiceblocks.blocks.transfer import OnFailure, TransferCommand
from voiceblocks.blocks.unhold import UnholdCommand
from voiceblocks.ids import SessionId, TxnRef

from . import status_of

SESSION = SessionId("S-1")
DEST, OTHER = "+6591234567", "+6598765432"
URL = "https://a.example/h"
SECOND_US = 1_000_000


def _fields(**values: str) -> Fields:
    return Fields(values.items())


def test_dial_reads_everything() -> None:
    """Each field arrives; without the optional ones there is neither limit nor caller id."""
    assert DialCommand.from_fields(
        _fields(
            dest=" 6591234567",
            msg="Hello",
            caller_id="p",
            max_duration="60",
            ring_time="20",
            tag="t",
            notify_url=URL,
        )
    ) == DialCommand(
        dest=DEST,
        msg=(TextPart("Hello"),),
        caller_id="private",
        max_duration_s=60,
        ring_time_s=20,
        tag="t",
        notify_url=URL,
    )
    assert DialCommand.from_fields(_fields(dest=DEST)) == DialCommand(
        dest=DEST, caller_id=None, max_duration_s=None, ring_time_s=60, notify_url=None
    )


@pytest.mark.parametrize("limit", ["1", "86400"])
@pytest.mark.parametrize("request_class", [DialCommand, CallCommand])
def test_a_call_s_limit_at_the_ends_of_its_range(
    request_class: type[DialCommand | CallCommand], limit: str
) -> None:
    """A second and a day are limits; beside them the status is that of a call, not of record."""
    fields = _fields(dest=DEST, dest2=DEST, max_duration=limit)
    assert request_class.from_fields(fields).max_duration_s == int(limit)


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ({}, 60),
        ({"ring_time": "20"}, 20),
        ({"ringtime": "10"}, 10),
        ({"ring_time": "20", "ringtime": "10"}, 20),
        ({"ring_time": "", "ringtime": "10"}, 10),
        ({"ring_time": " 20 "}, 20),
        ({"ring_time": "+20"}, 20),
        ({"ring_time": "0"}, 5),
        ({"ring_time": "4"}, 5),
        ({"ring_time": "5"}, 5),
        ({"ring_time": "120"}, 120),
        ({"ring_time": "999999999"}, 120),
        ({"ring_time": "soon"}, 60),
        ({"ring_time": "-5"}, 60),
        ({"ring_time": "20.5"}, 60),
        ({"ring_time": "\u0662\u0660"}, 60),
        ({"ring_time": "9" * 5000}, 60),
    ],
)
def test_ring_time_has_two_names_and_no_status(sent: dict[str, str], seconds: int) -> None:
    """The first that is not empty counts; out of range is the range's end, nonsense the default."""
    assert RING_TIME.read(_fields(**sent)) == RINGTIME.read(_fields(**sent)) == seconds


@pytest.mark.parametrize("url", ["", "https://a.example/done"])
def test_monitor_reads_everything(url: str) -> None:
    """The recording's own URL is optional, the block's is not."""
    sent = _fields(session="S-1", msg="Hello", tag="t", notify_url=URL, monitor_notify_url=url)
    assert MonitorCommand.from_fields(sent) == MonitorCommand(
        session=SESSION,
        msg=(TextPart("Hello"),),
        tag="t",
        notify_url=URL,
        monitor_notify_url=url or None,
    )
    alone = _fields(session="S-1", monitor_notify_url=URL)
    assert status_of(lambda: MonitorCommand.from_fields(alone)) == "error_notify_url_param_missing"


def test_hold_has_neither_tag_nor_notify_url() -> None:
    """A hold tells nothing, so what is sent for that is not even looked at."""
    sent = _fields(session="S-1", msg="Wait", tag="x" * 257, notify_url="nonsense")
    command = HoldCommand.from_fields(sent)
    assert command == HoldCommand(session=SESSION, msg=(TextPart("Wait"),))
    assert (command.tag, command.notify_url) == ("", None)


def test_unhold_does_not_read_msg() -> None:
    """A Go library sends one, which no malformed markup may spoil."""
    sent = _fields(session="S-1", msg="<speech>", tag="t", notify_url=URL)
    command = UnholdCommand.from_fields(sent)
    assert command == UnholdCommand(session=SESSION, tag="t", notify_url=URL)
    assert command.msg == ()


@pytest.mark.parametrize(
    ("dest", "dests", "room"),
    [
        ("+6591234567", (DEST,), None),
        ("6591234567, +6598765432", (DEST, OTHER), None),
        ("room:", (), ""),
        ("room: ", (), ""),
        ("room:R1234", (), "R1234"),
        (" room:my.123.abc_room ", (), "my.123.abc_room"),
        ("ROOM:r", (), "r"),
        ("+1room:R1", (), "R1"),
        ("+room:R1", (), "R1"),
        (" 1room:", (), ""),
        ("+886room:R1", (), "R1"),
        ("room:" + "x" * 32, (), "x" * 32),
    ],
)
def test_where_a_transfer_goes(dest: str, dests: tuple[str, ...], room: str | None) -> None:
    """Numbers, a room, or a new room; also with what the Python libraries put before it."""
    command = TransferCommand.from_fields(_fields(session="S-1", dest=dest))
    assert (command.dests, command.room) == (dests, room)


@pytest.mark.parametrize(
    ("dest", "status"),
    [
        ("room:a b", "error_invalid_room"),
        ("room:R1,+6591234567", "error_invalid_room"),
        ("room:räum", "error_invalid_room"),
        ("room:R1\n", "error_invalid_room"),
        ("+6591234567,room:R1", "error_dest_invalid"),
        ("rooms", "error_dest_invalid"),
        ("+12345room:R1", "error_dest_invalid"),
    ],
)
def test_where_no_transfer_goes(dest: str, status: str) -> None:
    """A room's bad name is the room's fault, everything else the number's."""
    sent = _fields(session="S-1", dest=dest)
    assert status_of(lambda: TransferCommand.from_fields(sent)) == status


@pytest.mark.parametrize(
    ("word", "url", "expected"),
    [
        ("", URL, OnFailure.HANGUP),
        ("hangup", URL, OnFailure.HANGUP),
        ("continue", URL, OnFailure.CONTINUE),
        (" Continue", URL, OnFailure.CONTINUE),
        ("continue", "", OnFailure.HANGUP),
    ],
)
def test_on_failure(word: str, url: str, expected: OnFailure) -> None:
    """A call goes on only where somebody hears that it does."""
    sent = _fields(session="S-1", dest=DEST, on_failure=word, notify_url=url)
    assert TransferCommand.from_fields(sent).on_failure is expected


def test_call_reads_everything() -> None:
    """Each field arrives; dest1 may be left to the account."""
    sent = _fields(
        dest1=DEST, dest2=OTHER, caller_id="private", max_duration="60", tag="t", notify_url=URL
    )
    assert CallCommand.from_fields(sent) == CallCommand(
        dest1=DEST, dest2=OTHER, caller_id="private", max_duration_s=60, tag="t", notify_url=URL
    )
    assert CallCommand.from_fields(_fields(dest2=OTHER)) == CallCommand(dest1=None, dest2=OTHER)
    same = _fields(dest1="+65 9123 4567", dest2="6591234567")
    assert status_of(lambda: CallCommand.from_fields(same)) == "error_same_dest1_dest2"


def test_conference_reads_everything() -> None:
    """Destinations in their order, a room's name or none."""
    sent = _fields(dest=f"{OTHER},{DEST}", room=" R.1_a ", caller_id="p", tag="t", notify_url=URL)
    assert ConferenceCommand.from_fields(sent) == ConferenceCommand(
        dests=(OTHER, DEST), room="R.1_a", caller_id="private", tag="t", notify_url=URL
    )
    assert ConferenceCommand.from_fields(_fields(dest=DEST)).room is None


@given(st.text(max_size=40))
def test_any_room_is_a_name_or_refused(name: str) -> None:
    """No name gets through that another part could read in two ways."""
    status = status_of(lambda: ROOM.read(_fields(room=name)))
    read = None if status else ROOM.read(_fields(room=name))
    assert status == "error_invalid_room" or read is None or read.isascii()


@pytest.mark.parametrize("word", ["kick", "MUTE", " unmute "])
def test_moderate_reads_everything(word: str) -> None:
    """The three words, in any case."""
    assert ModerateCommand.from_fields(_fields(txn_ref=" AA-C-1-x ", action=word)) == (
        ModerateCommand(txn_ref=TxnRef("AA-C-1-x"), action=ModerateAction(word.strip().lower()))
    )


def _us(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return int(at.timestamp()) * SECOND_US


@pytest.mark.parametrize(
    ("sent", "from_us"),
    [
        ("2012-01-31 12:06:15", _us(2012, 1, 31, 4, 6, 15)),
        ("2012-01-31 12:06:15.0", _us(2012, 1, 31, 4, 6, 15)),
        ("2012-01-31T12:06:15", _us(2012, 1, 31, 4, 6, 15)),
        (" 2012-01-31 ", _us(2012, 1, 30, 16)),
        ("1969-12-31 00:00:00", _us(1969, 12, 30, 16)),
        ("", None),
    ],
)
def test_times_are_gmt_plus_8(sent: str, from_us: int | None) -> None:
    """With the fraction that the live service showed, a T, or as a date alone."""
    assert GetHistoryCommand.from_fields(_fields(**{"from": sent})).from_us == from_us


def test_a_span_ends_with_the_last_instant_of_what_is_named() -> None:
    """A call in the named second, or on the named day, belongs to it."""
    command = GetHistoryCommand.from_fields(
        _fields(**{"from": "2012-01-31 12:06:15", "to": "2012-01-31 12:06:15"})
    )
    assert command.from_us == _us(2012, 1, 31, 4, 6, 15)
    assert command.to_us == command.from_us + SECOND_US - 1
    day = GetHistoryCommand.from_fields(_fields(**{"from": "2012-01-31", "to": "2012-01-31"}))
    assert day.to_us == _us(2012, 1, 31, 16) - 1


def test_a_span_that_ends_before_it_begins() -> None:
    """One second too early is refused; either end alone is fine."""
    sent = {"from": "2012-01-31 12:06:15", "to": "2012-01-31 12:06:14"}
    status = status_of(lambda: GetHistoryCommand.from_fields(_fields(**sent)))
    assert status == "error_to_before_from"
    for name, value in sent.items():
        GetHistoryCommand.from_fields(_fields(**{name: value}))


@pytest.mark.parametrize(
    "sent",
    [
        *(
            "2012-13-01",
            "2012-01-32",
            "2012-1-1",
            "31.01.2012",
            "1328000000",
            "2012-01-31 25:00:00",
        ),
        *("2012-01-31 12:06", "2012-01-31 12:06:60", "2012-01-31 12:06:15+08:00", "0000-01-01"),
        *("2012-01-31  12:06:15", "\u0662012-01-31", "now", "2012-01-31 12:06:15."),
    ],
)
def test_times_that_are_refused(sent: str) -> None:
    """Other notations have no reading that everybody would agree on."""
    for name in ("from", "to"):
        fields = _fields(**{name: sent})
        assert status_of(lambda fields=fields: GetHistoryCommand.from_fields(fields)) == (
            f"error_{name}_invalid"
        )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [({}, (1, 100)), ({"page": "3", "page_size": "1"}, (3, 1)), ({"page_size": "100"}, (1, 100))],
)
def test_pages(sent: dict[str, str], expected: tuple[int, int]) -> None:
    """From 1 on, of 100 calls, or fewer if asked."""
    command = GetHistoryCommand.from_fields(_fields(**sent))
    assert (command.page, command.page_size) == expected
