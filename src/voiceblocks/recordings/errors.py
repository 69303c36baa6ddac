"""Why nobody gets, deletes or begins a recording.

```
RequestRefused
  UnknownRecording         there was never such a recording, or it is gone
  RecordingAccessDenied    it belongs to another application
  RecordingNotReady        it is still being made
  RecordingOnHold          it is held, and may not be deleted
  RecordingQuotaReached    the account's recordings take up all that they may
  RecordingSpaceLow        the disk might not take it to its end
StoreError
  SealedRecordingDamaged   a file is no sealed recording, or not as it was written
```

Their texts are sentences for people; the API's statuses are in `api/statuses.py`.
"""

from __future__ import annotations

from voiceblocks.errors import RequestRefused, StoreError


class UnknownRecording(RequestRefused):
    """There was never such a recording, or it is gone."""


class RecordingAccessDenied(RequestRefused):
    """The recording exists, but belongs to another application."""


class RecordingNotReady(RequestRefused):
    """It is still being made; later it can be had, or deleted."""


class RecordingOnHold(RequestRefused):
    """It is held for lawyers: whoever put it on hold must release it first."""


class RecordingQuotaReached(RequestRefused):
    """The account's stored recordings take up all that they may."""


class RecordingSpaceLow(RequestRefused):
    """The disk might not take the recording to its end, so it is not begun."""


class SealedRecordingDamaged(StoreError):
    """A file is no sealed recording, is of another key, or is not as it was written."""
