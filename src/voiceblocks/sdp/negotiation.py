"""Offer and answer (RFC 3264) for one audio stream.

`negotiate` answers a peer's offer; `build_offer` and `read_answer` are the other
way round. All three are functions of values: addresses, ports and versions come in.

Not answered, so never in force: rtcp-mux, BUNDLE, ICE, SRTP.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Final

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sdp.description import (
    Connection,
    Line,
    MediaDescription,
    SessionDescription,
    parse_connection,
    parse_description,
    parse_number,
)

STATIC_FORMATS: Final = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    4: ("G723", 8000),
    7: ("LPC", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    12: ("QCELP", 8000),
    13: ("CN", 8000),
    15: ("G728", 8000),
    18: ("G729", 8000),
}
"Payload types that need no rtpmap (RFC 3551 table 4), as far as phones use them."

PROTOCOLS: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
"AVPF only adds early RTCP feedback, which we need not send (RFC 4585 section 3)."

PTIME_DEFAULT_MS = 20
PTIME_MIN_MS = 10
PTIME_MAX_MS = 60
PTIME_STEP_MS = 10
"The media worker's tick: a packet duration is a multiple of it."

CLOCK_RATE_HZ = 8000
"Of every codec that we negotiate; telephone-event must have the same (RFC 4733 section 2.1)."

EVENT_PAYLOAD_TYPE = 101
"What nearly every phone uses for telephone-event."

COMFORT_NOISE_PAYLOAD_TYPE = 13

FIRST_DYNAMIC_PAYLOAD_TYPE = 96


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What we say of ourselves in an offer or answer."""

    host: str
    "Address (not name) at which we receive, IPv4 or IPv6."

    port: int
    "RTP port; RTCP is the next one."

    session_id: int
    "Of the `o=` line; stays for the life of the dialog."

    session_version: int
    "Of the `o=` line; one more each time that the description changes."

    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    "RTP encoding names with an 8000 Hz clock, preferred first."

    telephone_event: bool = True
    "Whether RFC 4733 digits are wanted."

    comfort_noise: bool = True
    "Whether RFC 3389 comfort noise may be agreed where the peer offers it."

    send: bool = True
    "Whether we would send; `False` also answers so."

    receive: bool = True
    "Whether we would receive."

    ptime_ms: int = PTIME_DEFAULT_MS
    "Packet duration where the peer does not name one."


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both sides agreed on."""

    answer: bytes
    "The answer that carries it, whoever made it."

    codec: str
    'RTP encoding name as in `LocalMedia.codecs`, e.g. `"PCMU"`.'

    payload_type: int
    event_payload_type: int | None
    comfort_noise_payload_type: int | None

    ptime_ms: int
    "Packet duration to send: 10 to 60, a multiple of 10."

    remote: tuple[str, int] | None
    """Address and port to send to; `None` on a `c=0.0.0.0` hold, and where the peer gave a
    host name: names are not looked up, the source of its RTP tells (symmetric RTP)."""

    remote_rtcp: tuple[str, int] | None
    "The same for RTCP (RFC 3605), by default the next port."

    send: bool
    receive: bool

    on_hold: bool
    "The peer does not listen: it holds us, or we hear its announcement only."


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The formats of one media section that we would use."""

    codec: str
    payload_type: int
    event_payload_type: int | None
    comfort_noise_payload_type: int | None


class _Unreachable(RemoteSipError):
    """A usable stream at an address that we cannot send to."""


def _not_acceptable(reason: str) -> RemoteSipError:
    return RemoteSipError(f"SDP: {reason}", 488)


def negotiate(offer: bytes, *, local: LocalMedia) -> Negotiated:
    """Answer `offer`: first audio section that we can use, first of its codecs that we have.

    Raises:
        RemoteSipError: With 400 if the offer cannot be read, 488 if nothing in it can be used.
    """
    description = parse_description(offer)
    refusal = _not_acceptable("no audio stream with a codec of ours")
    for index, section in enumerate(description.media):
        chosen = _choose(section, local) if _is_usable(section) else None
        if chosen is None:
            continue
        try:
            agreed = _agree(description, section, chosen, local)
        except _Unreachable as error:
            # The same stream may be offered once more in another address family.
            refusal = error
            continue
        return replace(agreed, answer=_build_answer(description, index, agreed, local))
    raise refusal


def build_offer(
    local: LocalMedia, *, ptime_ms: int = PTIME_DEFAULT_MS, direction: str = "sendrecv"
) -> bytes:
    """Offer all of `local.codecs`, telephone-event and comfort noise.

    Args:
        local: Our side.
        ptime_ms: Packet duration that we would like to receive.
        direction: `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    """
    static = {name: number for number, (name, _clock) in STATIC_FORMATS.items()}
    formats: list[tuple[int, str]] = []
    dynamic = FIRST_DYNAMIC_PAYLOAD_TYPE
    for name in local.codecs:
        number = static.get(name.upper())
        if number is None:
            number = dynamic
            dynamic += 2 if dynamic + 1 == EVENT_PAYLOAD_TYPE else 1
        formats.append((number, name))
    if local.comfort_noise:
        formats.append((COMFORT_NOISE_PAYLOAD_TYPE, "CN"))
    events = "0-16" if local.telephone_event else None
    if events:
        formats.append((EVENT_PAYLOAD_TYPE, "telephone-event"))
    section = _audio_section(local.port, "RTP/AVP", formats, events, ptime_ms, direction)
    return SessionDescription(_session_lines(local, "0 0"), (section,)).serialize()


def read_answer(answer: bytes, *, offer: bytes, local: LocalMedia) -> Negotiated:
    """What an answer to our own `offer` (made by `build_offer`) agrees on.

    Raises:
        RemoteSipError: With 400 if it cannot be read, 488 if it refuses the audio or
            chooses what we did not offer.
    """
    description = parse_description(answer)
    if not description.media:
        raise _not_acceptable("answer without media")
    section = description.media[0]
    chosen = _choose(section, local) if _is_usable(section) else None
    if chosen is None:
        raise _not_acceptable("answer refuses the audio")
    offered = parse_description(offer)
    if not offered.media:
        raise ContractViolation("our own offer has no media section")
    we_send, we_receive = _directions(offered, offered.media[0])
    local = replace(local, send=local.send and we_send, receive=local.receive and we_receive)
    return replace(_agree(description, section, chosen, local), answer=answer)


def _is_usable(section: MediaDescription) -> bool:
    return (
        section.media.lower() == "audio"
        and section.port != 0
        and section.protocol.upper() in PROTOCOLS
    )


def _choose(section: MediaDescription, local: LocalMedia) -> _Chosen | None:
    """The first codec of the section that we have, with its companions."""
    mapped = dict(_rtpmaps(section))
    ours = {name.upper(): name for name in local.codecs}
    codec: tuple[str, int] | None = None
    event = noise = None
    for text in section.formats:
        number = parse_number(text, 127)
        encoding = None if number is None else mapped.get(number, STATIC_FORMATS.get(number))
        if number is None or encoding is None or encoding[1] != CLOCK_RATE_HZ:
            continue
        name = encoding[0]
        if name in ours and codec is None:
            codec = (ours[name], number)
        elif name == "TELEPHONE-EVENT" and event is None and local.telephone_event:
            event = number
        elif name == "CN" and noise is None and local.comfort_noise:
            noise = number
    return None if codec is None else _Chosen(*codec, event, noise)


def _rtpmaps(section: MediaDescription) -> list[tuple[int, tuple[str, int]]]:
    """Payload type, then encoding name in capitals and clock rate (0 where it is not mono)."""
    found = []
    for value in section.attributes("rtpmap"):
        fields = value.split(None, 1)
        number = parse_number(fields[0], 127) if len(fields) == 2 else None
        if number is None:
            continue
        name, *parameters = (part.strip() for part in fields[1].split("/", 3))
        clock = parse_number(parameters[0], 1_000_000) if parameters else None
        if len(parameters) > 1 and parameters[1] not in ("", "1"):
            clock = 0
        found.append((number, (name.upper(), clock or 0)))
    return found


def _agree(
    description: SessionDescription,
    section: MediaDescription,
    chosen: _Chosen,
    local: LocalMedia,
) -> Negotiated:
    """Everything but the answer's bytes."""
    peer_sends, peer_receives = _directions(description, section)
    connection = section.connection or description.connection
    if connection is None:
        raise RemoteSipError("SDP: no connection line for the audio", 400)
    host, held = _destination(connection)
    if held:
        # RFC 2543's way to hold: the address is void, whatever the direction says.
        peer_receives = False
    if host is not None and _address_type(host) != _address_type(local.host):
        raise _Unreachable("SDP: address of a family that our media has not", 488)
    remote = None if host is None else (host, section.port)
    return Negotiated(
        answer=b"",
        codec=chosen.codec,
        payload_type=chosen.payload_type,
        event_payload_type=chosen.event_payload_type,
        comfort_noise_payload_type=chosen.comfort_noise_payload_type,
        ptime_ms=_ptime_ms(description, section, local),
        remote=remote,
        remote_rtcp=_rtcp_destination(section, remote),
        send=peer_receives and local.send,
        receive=peer_sends and local.receive,
        on_hold=not peer_receives,
    )


def _directions(description: SessionDescription, section: MediaDescription) -> tuple[bool, bool]:
    """Whether the maker of the description sends and receives (RFC 8866 section 6.7)."""
    known = {
        "sendrecv": (True, True),
        "sendonly": (True, False),
        "recvonly": (False, True),
        "inactive": (False, False),
    }
    for lines in (section.lines, description.lines):
        for line in lines:
            if line.kind == "a" and line.value.strip().lower() in known:
                return known[line.value.strip().lower()]
    return True, True


def _destination(connection: Connection) -> tuple[str | None, bool]:
    """The address to send to and whether it says "hold".

    Raises:
        RemoteSipError: With 488 for a multicast address.
    """
    try:
        address = ipaddress.ip_address(connection.host)
    except ValueError:
        # RFC 3264 section 8.4 holds IPv6 peers by a name under .invalid.
        return None, connection.host.lower().rstrip(".").endswith(".invalid")
    if address.is_unspecified:
        return None, True
    if address.is_multicast:
        raise _not_acceptable("multicast address")
    return str(address), False


def _rtcp_destination(
    section: MediaDescription, remote: tuple[str, int] | None
) -> tuple[str, int] | None:
    """RFC 3605; an attribute that cannot be read counts as absent."""
    if remote is None:
        return None
    host, rtp_port = remote
    fields = (section.attribute("rtcp") or "").split(None, 1)
    port = parse_number(fields[0], 65_535) if fields else None
    if port and len(fields) == 2:
        try:
            host = _destination(parse_connection(fields[1]))[0] or host
        except RemoteSipError:
            port = None
    if not port:
        port = rtp_port + 1
    return (host, port) if port <= 65_535 else None


def _ptime_ms(description: SessionDescription, section: MediaDescription, local: LocalMedia) -> int:
    """What the peer would like to receive, within our limits."""

    def milliseconds(name: str) -> int | None:
        text = section.attribute(name)
        if text is None:
            text = description.attribute(name)
        # Some phones write "20.0".
        return parse_number(text.partition(".")[0], 10_000) if text else None

    wanted = milliseconds("ptime") or local.ptime_ms
    longest = min(milliseconds("maxptime") or PTIME_MAX_MS, PTIME_MAX_MS)
    ptime = min(wanted, longest) // PTIME_STEP_MS * PTIME_STEP_MS
    return max(ptime, PTIME_MIN_MS)


def _address_type(host: str) -> str:
    try:
        return "IP6" if ipaddress.ip_address(host).version == 6 else "IP4"
    except ValueError as error:
        raise ContractViolation(f"our media address {host!r} is no IP address") from error


def _session_lines(local: LocalMedia, timing: str) -> tuple[Line, ...]:
    where = f"IN {_address_type(local.host)} {local.host}"
    return (
        Line("v", "0"),
        Line("o", f"- {local.session_id} {local.session_version} {where}"),
        Line("s", "-"),
        Line("c", where),
        Line("t", timing),
    )


def _audio_section(
    port: int,
    protocol: str,
    formats: list[tuple[int, str]],
    events: str | None,
    ptime_ms: int,
    direction: str,
) -> MediaDescription:
    attributes = []
    for number, name in formats:
        attributes.append(f"rtpmap:{number} {name}/{CLOCK_RATE_HZ}")
        if name == "telephone-event" and events:
            attributes.append(f"fmtp:{number} {events}")
    attributes += [f"ptime:{ptime_ms}", direction]
    return MediaDescription(
        "audio",
        port,
        protocol,
        tuple(str(number) for number, _name in formats),
        tuple(Line("a", attribute) for attribute in attributes),
    )


def _offered_events(section: MediaDescription, payload_type: int) -> str:
    """The events to answer with: digits, and flash (16) where it was offered.

    RFC 4733 section 2.4.1: no list means 0 to 15.
    """
    for value in section.attributes("fmtp"):
        number, _, events = value.partition(" ")
        if parse_number(number, 127) != payload_type:
            continue
        for part in events.split(","):
            first, _, last = part.partition("-")
            low = parse_number(first.strip(), 255)
            high = parse_number(last.strip(), 255) if last else low
            if low is not None and high is not None and low <= 16 <= high:
                return "0-16"
    return "0-15"


def _build_answer(
    offer: SessionDescription, index: int, agreed: Negotiated, local: LocalMedia
) -> bytes:
    """One section for each of the offer's, in its order (RFC 3264 section 6)."""
    chosen = offer.media[index]
    formats = [(agreed.payload_type, agreed.codec)]
    if agreed.comfort_noise_payload_type is not None:
        formats.append((agreed.comfort_noise_payload_type, "CN"))
    events = None
    if agreed.event_payload_type is not None:
        formats.append((agreed.event_payload_type, "telephone-event"))
        events = _offered_events(chosen, agreed.event_payload_type)
    direction = {
        (True, True): "sendrecv",
        (True, False): "sendonly",
        (False, True): "recvonly",
        (False, False): "inactive",
    }[agreed.send, agreed.receive]
    audio = _audio_section(local.port, chosen.protocol, formats, events, agreed.ptime_ms, direction)
    sections = tuple(
        audio
        if position == index
        else MediaDescription(section.media, 0, section.protocol, section.formats)
        for position, section in enumerate(offer.media)
    )
    return SessionDescription(_session_lines(local, offer.timing), sections).serialize()
