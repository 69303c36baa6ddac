"""The exceptions of Voiceblocks, by whose fault they are.

```
VoiceblocksError
  InvalidRequest          the application sent something wrong
  RequestRefused          well formed, but not now
    IllegalTransition     a state table has no such step
    CapacityExceeded      this node or account carries no more calls
  PeerError               somebody else's fault: a phone, a carrier, a web server
    RemoteSipError        carries the SIP status to answer with
    RemoteRtpError        RTP, RTCP or a telephone-event that cannot be read
  ProgrammingError        ours
    LocalSipError         we tried something that the dialog does not allow
    ContractViolation     a caller broke the documented contract
  AdapterError            a library, file or server failed; the cause is chained
    StoreError, EncodeError, UnreadableAudio
    SynthesisError        a speech engine failed at this text
      NoSound             there is nothing to say in it
      EngineUnavailable   the engine itself is not well, whatever the text
  StartupError            the node cannot start; the text says what to do
```
"""

from __future__ import annotations


class VoiceblocksError(Exception):
    """Base of all our exceptions."""


class InvalidRequest(VoiceblocksError):
    """
    The application sent something wrong.

    Args:
        status: The documented status string of the API, such as `"error_invalid_max_duration"`.
    """

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class RequestRefused(VoiceblocksError):
    """Well formed, but not now."""


class IllegalTransition(RequestRefused):
    """The state table has no such step; nothing was changed."""


class CapacityExceeded(RequestRefused):
    """This node or account carries no more calls."""


class PeerError(VoiceblocksError):
    """Somebody else's fault."""


class RemoteSipError(PeerError):
    """
    A SIP message that cannot be processed.

    Args:
        reason: One sentence for the log and the reason phrase.
        status_hint: SIP status to answer with, where an answer is possible at all.
    """

    def __init__(self, reason: str, status_hint: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status_hint = status_hint


class RemoteRtpError(PeerError):
    """An RTP or RTCP packet or telephone-event that cannot be read."""


class ProgrammingError(VoiceblocksError):
    """Our own mistake."""


class LocalSipError(ProgrammingError):
    """We tried something that the dialog's state does not allow."""


class ContractViolation(ProgrammingError):
    """A documented contract between our own parts was broken."""


class AdapterError(VoiceblocksError):
    """A library, a file or a server failed; the cause is chained."""


class StoreError(AdapterError):
    """A recording could not be stored or read back."""


class SynthesisError(AdapterError):
    """Text could not be turned into speech."""


class NoSound(SynthesisError):
    """The text has no sound in this engine's voice, such as `"..."`."""


class EngineUnavailable(SynthesisError):
    """A speech engine cannot be reached or is not well; another text would fail, too."""


class EncodeError(AdapterError):
    """Audio could not be encoded."""


class UnreadableAudio(AdapterError):
    """A custom audio file is not what its name says, or is damaged."""


class StartupError(VoiceblocksError):
    """The node cannot start; the message says what the operator should do."""
