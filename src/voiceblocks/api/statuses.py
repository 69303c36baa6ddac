"""The one table from exceptions to the API's statuses, and what each status means.

What a prompt cannot be made of is told by `workflows.prepare_prompts`, which knows
that the application's text was at fault and not, say, our beep.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from voiceblocks.accounts.errors import (
    AccountDisabled,
    InvalidAccessToken,
    InvalidAppId,
    RateLimitExceeded,
)
from voiceblocks.errors import InvalidRequest
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

SUCCESS: Final = "success_ok"
INTERNAL_ERROR: Final = "error_internal_server_error"

STATUS_BY_ERROR: Final = MappingProxyType[type[Exception], str](
    {
        InvalidAccessToken: "error_invalid_access_token",
        InvalidAppId: "error_invalid_app_id",
        AccountDisabled: "error_developer_suspended",
        RateLimitExceeded: "error_rate_limit_exceeded",
        UnknownSession: "error_invalid_session",
        SessionAccessDenied: "error_session_access_denied",
        SessionEnded: "error_session_ended",
        SessionNotReady: "error_session_not_ready",
        SessionNotOnHold: "error_session_not_on_hold",
        SessionNotRecording: "error_session_not_recording",
        UnknownRecording: "error_recording_invalid",
        RecordingAccessDenied: "error_recording_access_denied",
        RecordingNotReady: "error_recording_not_ready",
        RecordingOnHold: "error_recording_on_hold",
        RecordingQuotaReached: "error_recording_quota_reached",
        RecordingSpaceLow: "error_recording_space_low",
    }
)


def status_of(error: Exception) -> str:
    """The status that an exception is told as; a subclass has its class's."""
    if isinstance(error, InvalidRequest):
        return error.status
    for error_class in type(error).__mro__:
        if error_class in STATUS_BY_ERROR:
            return STATUS_BY_ERROR[error_class]
    return INTERNAL_ERROR


# In the order in which the original's pages print them, which is the order of checks.
GENERIC_STATUSES: Final = (
    SUCCESS,
    "error_invalid_http_method",
    "error_malformed_params",
    "error_app_id_param_missing",
    "error_access_token_param_missing",
    "error_invalid_access_token",
    "error_invalid_app_id",
    "error_developer_suspended",
    "error_rate_limit_exceeded",
    INTERNAL_ERROR,
)

STATUS_TEXTS: Final = MappingProxyType(
    {
        SUCCESS: "The request was accepted; its outcome comes as a notification.",
        "error_invalid_http_method": "Neither GET nor POST.",
        "error_malformed_params": "The parameters are not UTF-8, or too many or too long.",
        "error_app_id_param_missing": "app_id is missing or empty.",
        "error_access_token_param_missing": "access_token is missing or empty.",
        "error_invalid_access_token": "The access token is unknown, expired or revoked.",
        "error_invalid_app_id": "The application is unknown or disabled, or not the token's.",
        "error_developer_suspended": "The operator has disabled the account.",
        "error_rate_limit_exceeded": "The application asked this API too often in a minute, or the "
        "account called too many numbers in one.",
        INTERNAL_ERROR: "Our fault; the server's log says more.",
        "error_service_not_available": "There is no such API on this server.",
        "error_session_param_missing": "session is missing or empty.",
        "error_invalid_session": "There was never such a session.",
        "error_session_access_denied": "The session belongs to another application.",
        "error_session_ended": "The call is over, or is being ended by an End block.",
        "error_session_not_ready": "Another block is running: wait for its notification. Or the "
        "call is on hold, which only an unhold or a forced hang-up ends.",
        "error_session_not_on_hold": "The call is not on hold.",
        "error_session_not_recording": "Nothing of the call is being recorded now: no record is "
        "past its beep, and there is no monitor.",
        "error_block_invalid": "block is neither record nor monitor.",
        "error_monitor_in_progress": "The call is being monitored already.",
        "error_recording_space_low": "The server's disk is running low: no new recording is "
        "begun. Those that run are not cut short.",
        "error_recording_quota_reached": "The account's recordings take up all that they may: "
        "delete some.",
        "error_recording_sealed": "The application's recordings are sealed, so this server cannot "
        "hear them: no monitor, format, trim or max_silence.",
        "error_msg_invalid_length": "msg is longer than 1000 characters, markup included.",
        "error_msg_invalid_xml": "The markup of msg is not well formed.",
        "error_msg_invalid_language": "msg asks for a language that is not spoken here.",
        "error_msg_invalid_gender": "msg asks for a gender that is neither female nor male.",
        "error_msg_invalid_url": "A <url> in msg is no web address, or one not allowed here.",
        "error_msg_invalid_file_format": "A <url> in msg is not .mp3, .wav or .gsm, by its "
        "path or by its content, or plays for more than 20 minutes.",
        "error_msg_invalid_file_size": "A file in msg is larger than 10 MB.",
        "error_msg_download_failed": "A file in msg could not be downloaded.",
        "error_msg_cannot_convert_text": "A text in msg could not be spoken in its language.",
        "error_invalid_max_duration": "max_duration is no whole number of seconds in range.",
        "error_invalid_format": "format is neither mp3 nor wav.",
        "error_invalid_beep": "beep is neither yes nor no.",
        "error_invalid_finish_key": "finish_key holds other characters than 0-9, * and #, and is "
        "not none.",
        "error_invalid_max_silence": "max_silence is no whole number of seconds in range.",
        "error_invalid_trim": "trim is neither none nor silence.",
        "error_invalid_max_digits": "max_digits is no whole number in range.",
        "error_invalid_timeout": "timeout is no whole number of seconds in range.",
        "error_invalid_attempts": "attempts is no whole number in range.",
        "error_dest_param_missing": "dest is missing or empty.",
        "error_dest_invalid": "dest is no phone number, or one of a length that its country has "
        "not.",
        "error_dest_not_supported": "The account may not call dest.",
        "error_dest_too_many": "dest has more than 8 numbers, or the room has no place left.",
        "error_dest1_param_missing": "dest1 is missing or empty; where it may be omitted: the "
        "account has no registered number.",
        "error_dest1_invalid": "dest1 is no phone number, or one of a length that its country has "
        "not.",
        "error_dest1_not_supported": "The account may not call dest1.",
        "error_dest2_param_missing": "dest2 is missing or empty.",
        "error_dest2_invalid": "dest2 is no phone number, or one of a length that its country has "
        "not.",
        "error_dest2_not_supported": "The account may not call dest2.",
        "error_same_dest1_dest2": "dest1 and dest2 are the same number.",
        "error_call_service_not_available": "No trunk carries calls to this number now.",
        "error_not_allowed_for_trial": "A trial account calls its registered number only.",
        "error_insufficient_credit": "The credit does not pay for this, or what the account may "
        "spend in a day is used up.",
        "error_concurrent_call_limit_reached": "The account has as many calls as it may have.",
        "error_caller_id_invalid": "caller_id is no number that the account may show.",
        "error_max_duration_invalid": "max_duration is no whole number of seconds in range.",
        "error_on_failure_invalid": "on_failure is neither hangup nor continue.",
        "error_invalid_room": "The room's name has other characters than letters, digits, dots and "
        "underscores, or more than 32.",
        "error_txn_ref_param_missing": "txn_ref is missing or empty.",
        "error_txn_ref_invalid": "There is no such transaction, or none that this can be done to.",
        "error_txn_ref_access_denied": "The transaction belongs to another application.",
        "error_recording_param_missing": "recording is missing or empty.",
        "error_recording_invalid": "There is no such recording, or it is deleted.",
        "error_recording_access_denied": "The recording belongs to another application.",
        "error_recording_not_ready": "The recording is still being made: try later.",
        "error_recording_on_hold": "The recording is on hold and may not be deleted.",
        "error_reason_invalid_length": "reason is longer than 500 characters.",
        "error_ttl_invalid": "ttl is no whole number of seconds in range.",
        "error_once_invalid": "once is neither yes nor no.",
        "error_action_param_missing": "action is missing or empty.",
        "error_action_invalid": "action is none of kick, mute and unmute.",
        "error_from_invalid": "from is no time of the form YYYY-MM-DD HH:MM:SS.",
        "error_to_invalid": "to is no time of the form YYYY-MM-DD HH:MM:SS.",
        "error_to_before_from": "to is earlier than from.",
        "error_page_invalid": "page is no whole number from 1 on.",
        "error_page_size_invalid": "page_size is no whole number in range.",
        "error_country_param_missing": "country is missing or empty.",
        "error_state_param_missing": "state is missing or empty, and the country has states.",
        "error_number_param_missing": "number is missing or empty.",
        "error_number_invalid": "number is no phone number.",
        "error_number_not_available": "The number is not to be had, or no longer.",
        "error_exceed_max_subscriptions": "The account has as many numbers as it may have.",
        "error_duration_param_missing": "duration is missing or empty.",
        "error_invalid_duration": "duration is none of 1, 3 and 12, or not offered.",
        "error_auto_extend_not_available": "auto_extend is neither enabled nor disabled.",
        "error_number_not_assigned": "The number is none of the application's.",
        "error_forward_to_invalid": "forward_to is no web address, too long, or not allowed here.",
        "error_unable_to_resolve_forward_to": "The host of forward_to has no address.",
        "error_incoming_sms_not_supported": "There are no text messages here.",
        "error_mode_invalid": "mode is not voice, and there is no fax here.",
        "error_tag_invalid_length": "tag is longer than 256 characters.",
        "error_notify_url_param_missing": "notify_url is missing or empty.",
        "error_invalid_notify_url": "notify_url is no web address, too long, or not allowed here.",
        "error_unable_to_resolve_notify_url": "The host of notify_url has no address.",
        "error_unable_to_complete_ssl_handshake_notify_url": "The host of notify_url does not "
        "prove with TLS who it is; often its certificate chain is incomplete.",
    }
)
"One sentence each, for the reference page."
