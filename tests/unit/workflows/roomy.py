"""Rules for recordings on a disk that has room enough."""

from voiceblocks.workflows.admit_recording import RecordingRules

ROOMY = RecordingRules(free_bytes=lambda: 10**12, reserve_bytes=0, quota_bytes=0, max_call_s=14_400)
