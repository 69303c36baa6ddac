"""Why the API refuses to touch a session.

```
RequestRefused
  SessionNotReady       another block is running
  SessionNotOnHold      an unhold, and nothing to end
  SessionNotRecording   a pause, and nothing that is being recorded
  SessionEnded          the call is over, or is being hung up
  SessionAccessDenied   the session belongs to another application
  UnknownSession        there was never such a session
```
"""

from __future__ import annotations

from voiceblocks.errors import RequestRefused


class SessionNotReady(RequestRefused):
    """Another block is running; the application should wait for its notification."""


class SessionNotOnHold(RequestRefused):
    """An unhold came for a call that is not held."""


class SessionNotRecording(RequestRefused):
    """A pause or its end came for a call of which nothing is recorded now."""


class SessionEnded(RequestRefused):
    """The call is over, or an End block was accepted and it is about to be."""


class SessionAccessDenied(RequestRefused):
    """The session exists, but belongs to another application."""


class UnknownSession(RequestRefused):
    """There was never such a session."""
