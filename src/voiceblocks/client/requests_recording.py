"""What an application does with its recordings, each as a request."""

from __future__ import annotations

from typing import Literal

from voiceblocks.client.answers import RecordingHealth, read_health
from voiceblocks.client.request import Request, nothing, request


def pause(session: str, *, block: Literal["record", "monitor"] | None = None) -> Request[None]:
    """Keep nothing of a call's recordings from now on, or of the one that a block began."""
    return request("recording/pause", nothing, session=session, block=block)


def resume(session: str, *, block: Literal["record", "monitor"] | None = None) -> Request[None]:
    """Go on with what was paused."""
    return request("recording/resume", nothing, session=session, block=block)


def health(recording: str) -> Request[RecordingHealth]:
    """How well a recording came in."""
    return request("recording/health", read_health, recording=recording)


def link(recording: str, *, ttl: int | None = None, once: bool = False) -> Request[str]:
    """A new link to a recording, good for `ttl` seconds; with `once` for one download."""
    return request(
        "recording/link", lambda told: str(told["record_url"]),
        recording=recording, ttl=ttl, once="yes" if once else None,
    )  # fmt: skip


def revoke(recording: str, *, reason: str | None = None) -> Request[None]:
    """Make all links to a recording worthless."""
    return request("recording/revoke", nothing, recording=recording, reason=reason)


def delete(recording: str, *, reason: str | None = None) -> Request[None]:
    """Delete a recording for good."""
    return request("recording/delete", nothing, recording=recording, reason=reason)
