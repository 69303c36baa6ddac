"""A trunk: a SIP peer by which calls go out and come in, as the operator described it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from voiceblocks.ids import TrunkId


class NumberFormat(StrEnum):
    """How the carrier writes numbers, both ways."""

    E164 = "e164"
    "`+6591234567`"
    PLAIN = "plain"
    "`6591234567`"
    NATIONAL = "national"
    "`91234567` inside the trunk's country, `006591234567`-like outside of it."


class DialledIn(StrEnum):
    """Where an incoming INVITE says which number of ours was dialled."""

    RURI = "ruri"
    TO = "to"
    P_CALLED_PARTY = "p-called-party"


class CallerIn(StrEnum):
    """Where the caller stands, in INVITEs of both directions."""

    FROM = "from"
    PAI = "pai"
    "P-Asserted-Identity (RFC 3325)."
    PPI = "ppi"
    "P-Preferred-Identity (RFC 3325)."


class DtmfMode(StrEnum):
    """How keys travel."""

    AUTO = "auto"
    "RFC 4733 where the peer agrees to it, else tones in the audio."
    RFC4733 = "rfc4733"
    INFO = "info"
    INBAND = "inband"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """A trunk as it is stored."""

    id: TrunkId
    name: str
    address: str
    "`sip:HOST[:PORT][;transport=tcp]`; HOST may be a name (RFC 3263)."
    username: str | None = None
    sealed_password: bytes | None = field(default=None, repr=False)
    key_id: str | None = None
    "Which `SecretKey` sealed the password."
    register: bool = False
    prefixes: tuple[str, ...] = ()
    "Destinations that it carries, such as `+65`; none: all of them."
    sources: tuple[str, ...] = ()
    "Networks (CIDR) that its calls come from, beside its address."
    country: str | None = None
    "ISO 3166 alpha-2, for national numbers."
    number_format: NumberFormat = NumberFormat.E164
    dialled_in: DialledIn = DialledIn.RURI
    caller_in: CallerIn = CallerIn.FROM
    dtmf: DtmfMode = DtmfMode.AUTO
    disabled_us: int | None = None
    created_us: int


class RegistrationState(StrEnum):
    """How a trunk's registration stands."""

    TRYING = "trying"
    REGISTERED = "registered"
    FAILED = "failed"
    "Tried again by itself."


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkRegistration:
    """The registration of one node at one trunk."""

    node: str
    trunk_id: TrunkId
    state: RegistrationState
    reason: str = ""
    "What the registrar answered, or why it was not asked; empty if that was no failure."
    changed_us: int
    until_us: int | None = None
    "When the registrar forgets us by itself; `None` if it does not know us."


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkRoute:
    """A trunk as a call needs it: everything to reach it, nothing of how it is stored."""

    trunk_id: TrunkId
    name: str
    address: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    country: str | None = None
    number_format: NumberFormat = NumberFormat.E164
    caller_in: CallerIn = CallerIn.FROM
    dtmf: DtmfMode = DtmfMode.AUTO

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User name and password for challenges, where there are both."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password
