"""`docs/statuses.md` accounts for every status of the original, and is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voiceblocks.api.statuses import STATUS_TEXTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statuses.md").read_text(encoding="utf-8")
GIVEN, _, NOT_GIVEN = PAGE.partition("\n## Not given here\n")

# Sections 2.1 to 2.6 of the collected facts, with each name for X that they know or infer.
SPEC = """
    success_ok error_invalid_http_method error_malformed_params error_invalid_access_token
    error_invalid_app_id error_rate_limit_exceeded error_internal_server_error
    error_app_id_param_missing error_access_token_param_missing error_country_param_missing
    error_dest_param_missing error_dest1_param_missing error_dest2_param_missing
    error_duration_param_missing error_file_param_missing error_incoming_param_missing
    error_msg_param_missing error_notify_url_param_missing error_session_param_missing
    error_state_param_missing error_txn_ref_param_missing error_caller_id_param_missing
    error_number_param_missing error_action_param_missing error_code_param_missing
    error_app_secret_param_missing
    error_msg_invalid_length error_msg_cannot_convert_text error_msg_download_failed
    error_msg_invalid_file_format error_msg_invalid_file_size error_msg_invalid_url
    error_msg_invalid_language error_msg_invalid_gender error_msg_invalid_xml
    error_tag_invalid_length error_invalid_notify_url error_unable_to_resolve_notify_url
    error_unable_to_complete_ssl_handshake_notify_url
    error_invalid_session error_session_access_denied error_session_ended
    error_session_not_ready error_session_not_on_hold
    error_invalid_max_duration error_max_duration_invalid error_invalid_max_digits
    error_invalid_timeout error_invalid_attempts error_monitor_in_progress
    error_on_failure_invalid error_invalid_room error_caller_id_invalid error_dest_invalid
    error_dest_not_supported error_dest_invalid_number_id error_dest1_invalid
    error_dest1_not_supported error_dest1_invalid_number_id error_dest2_invalid
    error_dest2_not_supported error_dest2_invalid_number_id error_same_dest1_dest2
    error_invalid_destination error_destination_not_supported error_dest_too_many
    error_concurrent_call_limit_reached error_insufficient_credit error_not_allowed_for_trial
    error_call_service_not_available error_service_not_available error_sms_service_not_available
    error_developer_suspended error_permission_denied error_user_not_found error_user_not_live
    error_add_notification_failed error_txn_ref_invalid error_invalid_txn_ref
    error_txn_ref_access_denied error_from_invalid error_to_invalid error_to_before_from
    error_page_invalid error_page_size_invalid error_invalid_type error_number_invalid
    error_number_not_assigned error_number_not_available error_no_number_available
    error_pick_number_not_available error_subscribe_number_not_available
    error_exceed_max_subscriptions error_auto_extend_not_available error_invalid_duration
    error_forward_to_invalid error_unable_to_resolve_forward_to error_incoming_sms_not_supported
    error_mode_invalid error_msg_empty error_msg_too_big error_sms_rebrand_not_enabled
    error_invalid_sender_name error_dest_incoming_both_missing error_dest_incoming_both_present
    error_file_invalid error_file_too_big error_connect_not_enabled
    error_application_not_published error_code_expired error_invalid_code
"""

OWN = {
    "error_action_invalid",
    *("error_session_not_recording", "error_block_invalid"),
    *("error_recording_space_low", "error_recording_quota_reached"),
    *("error_recording_param_missing", "error_recording_invalid", "error_recording_access_denied"),
    *("error_recording_not_ready", "error_recording_on_hold", "error_reason_invalid_length"),
    *("error_ttl_invalid", "error_once_invalid"),
    "error_recording_sealed",
    "error_invalid_format",
    "error_invalid_beep",
    "error_invalid_finish_key",
    "error_invalid_max_silence",
    "error_invalid_trim",
}
"Ours, by the original's pattern."

_GIVEN_ROW = re.compile(r"^\| `(\w+)` \| (.+) \| `(tests/[\w/]+\.py)` \|$", re.MULTILINE)
_SOURCE = re.compile(r"`(\w+(?:/\w+)*\.py)`")
_STATUS = re.compile(r"`((?:error|success)_\w+)`")
_ROWS = _GIVEN_ROW.findall(GIVEN)


def _reasons() -> dict[str, str]:
    """Why each status is not given."""
    rows = [row.split(" | ") for row in NOT_GIVEN.splitlines() if row.startswith("| `")]
    return {status: reason for names, reason in rows for status in _STATUS.findall(names)}


def test_nothing_of_the_original_is_forgotten() -> None:
    """Every status of the original is in one of the two tables, and in only one of them."""
    given = [status for status, _, _ in _ROWS]
    assert len(given) == len(set(given))
    assert not set(given) & set(_reasons())
    assert set(given) | set(_reasons()) == {*SPEC.split(), *OWN}


def test_the_first_table_is_the_code_s() -> None:
    """What the page says is given is what the server explains, in its order."""
    assert [status for status, _, _ in _ROWS] == list(STATUS_TEXTS)


def test_what_is_not_given_has_a_reason() -> None:
    """A sentence, not a dash."""
    assert all(len(reason) > 30 for reason in _reasons().values())


@pytest.mark.parametrize(("status", "source", "test"), _ROWS)
def test_a_row_names_files_that_know_the_status(status: str, source: str, test: str) -> None:
    """The test contains the status, and where it is said to come from there is a file."""
    assert f'"{status}"' in (ROOT / test).read_text(encoding="utf-8")
    for name in _SOURCE.findall(source):
        assert (ROOT / "src" / "voiceblocks" / name).is_file()
