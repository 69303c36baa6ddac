"""What the workflows that carry out an application's requests share."""

from __future__ import annotations

from dataclasses import dataclass

from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.clock import Clock
from voiceblocks.database.unit_of_work import Database
from voiceblocks.workflows.admit_recording import RecordingRules
from voiceblocks.workflows.authorise_outgoing_call import OutgoingRules
from voiceblocks.workflows.call_control import CallControl, Outbox
from voiceblocks.workflows.prepare_request import RequestPreparer


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestParts:
    """Made once by the composition root."""

    database: Database
    key: SecretKey
    "Looks up access tokens, and unseals the trunks' passwords."
    requests: RequestPreparer
    "Renders what a request says, and looks at its notify_url."
    calls: CallControl
    outbox: Outbox
    "Woken where a notification was written, or may go now."
    rules: OutgoingRules
    recording_rules: RecordingRules
    clock: Clock
