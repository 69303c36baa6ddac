"""The table of exceptions and statuses, row by row."""

from __future__ import annotations

import pytest

from voiceblocks.accounts.errors import (
    AccountDisabled,
    InvalidAccessToken,
    InvalidAppId,
    RateLimitExceeded,
)
from voiceblocks.api.reference import statuses_of
from voiceblocks.api.statuses import GENERIC_STATUSES, STATUS_BY_ERROR, STATUS_TEXTS, status_of
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.registry import APIS
from voiceblocks.errors import (
    CapacityExceeded,
    IllegalTransition,
    InvalidRequest,
    StoreError,
    SynthesisError,
    UnreadableAudio,
)
from voiceblocks.recordings.errors import (
    RecordingAccessDenied,
    RecordingNotReady,
    RecordingOnHold,
    RecordingQuotaReached,
    RecordingSpaceLow,
    UnknownRecording,
)
from voiceblocks.sessions.errors import (
    SessionAccessDenied,
    SessionEnded,
    SessionNotOnHold,
    SessionNotReady,
    SessionNotRecording,
    UnknownSession,
)

TABLE = [
    (InvalidAccessToken("x"), "error_invalid_access_token"),
    (InvalidAppId("x"), "error_invalid_app_id"),
    (AccountDisabled("x"), "error_developer_suspended"),
    (RateLimitExceeded("x"), "error_rate_limit_exceeded"),
    (UnknownSession("x"), "error_invalid_session"),
    (SessionAccessDenied("x"), "error_session_access_denied"),
    (SessionEnded("x"), "error_session_ended"),
    (SessionNotReady("x"), "error_session_not_ready"),
    (SessionNotOnHold("x"), "error_session_not_on_hold"),
    (UnknownRecording("x"), "error_recording_invalid"),
    (RecordingAccessDenied("x"), "error_recording_access_denied"),
    (RecordingNotReady("x"), "error_recording_not_ready"),
    (SessionNotRecording("x"), "error_session_not_recording"),
    (RecordingOnHold("x"), "error_recording_on_hold"),
    (RecordingQuotaReached("x"), "error_recording_quota_reached"),
    (RecordingSpaceLow("x"), "error_recording_space_low"),
]


@pytest.mark.parametrize(("error", "status"), TABLE)
def test_each_row(error: Exception, status: str) -> None:
    """Every exception of the table has its documented status, and so have its subclasses."""
    assert status_of(error) == status
    subclass = type("Special", (type(error),), {})
    assert status_of(subclass("x")) == status


def test_the_table_has_no_other_rows() -> None:
    """A row without a line here is noticed."""
    assert set(STATUS_BY_ERROR) == {type(error) for error, _ in TABLE}


def test_an_invalid_request_carries_its_own_status() -> None:
    """Whatever status a check gives is told as it is."""
    assert status_of(InvalidRequest("error_invalid_max_duration")) == "error_invalid_max_duration"


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError(), OSError(), IllegalTransition(), CapacityExceeded(), StoreError()),
        *(SynthesisError(), UnreadableAudio()),
    ],
)
def test_everything_else_is_our_fault(error: Exception) -> None:
    """An exception without a row is an internal error."""
    assert status_of(error) == "error_internal_server_error"


def test_every_status_is_explained() -> None:
    """The reference page has a sentence for each status that any API or the front can give."""
    known = {status for request_class in APIS.values() for status in statuses_of(request_class)}
    known |= {*GENERIC_STATUSES, *STATUS_BY_ERROR.values(), "error_service_not_available"}
    assert set(STATUS_TEXTS) == known


def test_record_declares_every_status_of_its_page() -> None:
    """
    The statuses of the Record block are those of its page, with X filled in, and our own.

    The own ones come of extensions, which nobody uses by accident, and of limits that the
    original did not tell of.
    """
    page = """success_ok error_invalid_http_method error_malformed_params
        error_invalid_access_token error_invalid_app_id error_msg_invalid_length
        error_msg_cannot_convert_text error_msg_download_failed error_msg_invalid_file_format
        error_msg_invalid_file_size error_msg_invalid_url error_msg_invalid_language
        error_msg_invalid_gender error_msg_invalid_xml error_tag_invalid_length
        error_invalid_notify_url error_unable_to_resolve_notify_url
        error_unable_to_complete_ssl_handshake_notify_url error_invalid_session
        error_session_access_denied error_session_ended error_session_not_ready
        error_invalid_max_duration error_rate_limit_exceeded error_internal_server_error"""
    missing = {f"error_{name}_param_missing" for name in ("app_id", "access_token", "session")}
    limits = {"error_recording_space_low", "error_recording_quota_reached"}
    limits |= {"error_developer_suspended"}
    names = ("format", "beep", "finish_key", "max_silence", "trim")
    extensions = {f"error_invalid_{name}" for name in names} | {"error_recording_sealed"}
    expected = set(page.split()) | missing | limits | extensions
    assert set(statuses_of(RecordCommand)) == expected
