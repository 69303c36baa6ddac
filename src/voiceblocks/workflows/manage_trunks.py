"""What an operator sets up for calls over carriers: trunks.

Functions of a connection: the command line runs them in one transaction each. Bad input
raises `ValueError` with a sentence that says what to do.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

import phonenumbers
from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.database import trunks
from voiceblocks.errors import RemoteSipError
from voiceblocks.ids import TrunkId
from voiceblocks.sip.source_guard import read_network
from voiceblocks.sip.uri import SipUri
from voiceblocks.trunks.model import CallerIn, DialledIn, DtmfMode, NumberFormat, Trunk

E = TypeVar("E", bound=StrEnum)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?\Z")
_PREFIX = re.compile(r"\+?[1-9][0-9]{0,14}\Z")
_TRANSPORTS = ("udp", "tcp")
_SEE_LIST = "see `voiceblocks trunk list`"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkWishes:
    """A trunk as it was typed."""

    name: str
    address: str
    username: str | None = None
    password: str | None = None
    register: bool = False
    prefixes: Iterable[str] = ()
    sources: Iterable[str] = ()
    country: str | None = None
    number_format: str = NumberFormat.E164.value
    dialled_in: str = DialledIn.RURI.value
    caller_in: str = CallerIn.FROM.value
    dtmf: str = DtmfMode.AUTO.value


def add_trunk(connection: Connection, key: SecretKey, wishes: TrunkWishes, *, now_us: int) -> Trunk:
    """Make a trunk; a running server uses it within seconds."""
    trunk = _checked(wishes, key, now_us)
    if trunks.find_by_name(connection, trunk.name) is not None:
        raise ValueError(f"There is a trunk {trunk.name} already: choose another name, {_SEE_LIST}")
    trunks.insert(connection, trunk)
    return trunk


def change_trunk(
    connection: Connection, key: SecretKey, name: str, changes: Mapping[str, Any]
) -> Trunk:
    """
    Change what is named of a trunk, by the fields of `TrunkWishes`; the rest stays.

    A password goes with its user name: who names another one gives a password, too, or has none.
    A running server uses it within seconds, and registers anew where that is what changed.
    """
    if not changes:
        raise ValueError("Nothing to change: see `voiceblocks trunk set --help`")
    before = require_trunk(connection, name)
    wishes = TrunkWishes(
        **{
            "name": before.name,
            "address": before.address,
            "username": before.username,
            "register": before.register,
            "prefixes": before.prefixes,
            "sources": before.sources,
            "country": before.country,
            "number_format": before.number_format.value,
            "dialled_in": before.dialled_in.value,
            "caller_in": before.caller_in.value,
            "dtmf": before.dtmf.value,
            **changes,
        }
    )
    checked = _checked(wishes, key, before.created_us, trunk_id=before.id)
    after = replace(checked, disabled_us=before.disabled_us)
    if not {"username", "password"} & changes.keys():
        after = replace(after, sealed_password=before.sealed_password, key_id=before.key_id)
    trunks.update(connection, after)
    return after


def require_trunk(connection: Connection, name: str) -> Trunk:
    """Return the trunk; a sentence where there is none."""
    trunk = trunks.find_by_name(connection, name)
    if trunk is None:
        raise ValueError(f"There is no trunk {name}: {_SEE_LIST}")
    return trunk


def remove_trunk(connection: Connection, name: str) -> None:
    """Delete a trunk; its calls go on, new ones are not taken."""
    if not trunks.delete(connection, name):
        raise ValueError(f"There is no trunk {name}: {_SEE_LIST}")


def disable_trunk(connection: Connection, name: str, *, now_us: int | None) -> None:
    """Let a trunk rest: no new calls either way, no registration; `None` wakes it."""
    if not trunks.set_disabled(connection, name, now_us):
        raise ValueError(f"There is no trunk {name}: {_SEE_LIST}")


def _checked(
    wishes: TrunkWishes, key: SecretKey, now_us: int, *, trunk_id: TrunkId | None = None
) -> Trunk:
    if _NAME.match(wishes.name) is None:
        raise ValueError(
            f"{wishes.name!r} is no name for a trunk: use up to 64 letters, digits, '.', '_', '-'"
        )
    username, password = wishes.username or None, wishes.password or None
    if password is not None and username is None:
        raise ValueError("A password needs the name that it belongs to: add --username")
    if wishes.register and username is None:
        raise ValueError("Registering needs the name to register: add --username")
    for text in (username or "", password or ""):
        if not text.isprintable():
            raise ValueError("The user name or password holds a line break or control character")
    number_format = _choice(NumberFormat, wishes.number_format, "--number-format")
    country = _country(wishes.country)
    if number_format is NumberFormat.NATIONAL and country is None:
        raise ValueError("National numbers belong to a country: add --country, such as SG")
    trunk_id = trunk_id or ids.new_trunk_id()
    return Trunk(
        id=trunk_id,
        name=wishes.name,
        address=read_address(wishes.address),
        username=username,
        sealed_password=None if password is None else key.seal(password, trunk_id),
        key_id=None if password is None else key.key_id,
        register=wishes.register,
        prefixes=tuple(dict.fromkeys(_prefix(text) for text in wishes.prefixes)),
        sources=tuple(dict.fromkeys(_source(text) for text in wishes.sources)),
        country=country,
        number_format=number_format,
        dialled_in=_choice(DialledIn, wishes.dialled_in, "--did"),
        caller_in=_choice(CallerIn, wishes.caller_in, "--caller-id"),
        dtmf=_choice(DtmfMode, wishes.dtmf, "--dtmf"),
        created_us=now_us,
    )


def read_address(text: str) -> str:
    """
    Return a trunk's address as it is stored: `sip:HOST[:PORT][;transport=udp|tcp]`.

    Raises:
        ValueError: If it cannot be called, with a sentence that says why.
    """
    like = "write it like sip:sip.example.net, sip:192.0.2.9:5060 or sip:192.0.2.9;transport=tcp"
    text = text.strip()
    if text.lower().startswith("sips:"):
        raise ValueError(f"{text} asks for TLS, which is not supported: {like}")
    try:
        uri = SipUri.parse(text if text.lower().startswith("sip:") else f"sip:{text}")
    except RemoteSipError:
        raise ValueError(f"{text!r} is no address of a trunk: {like}") from None
    if uri.user is not None:
        raise ValueError(f"{text} names a user, which belongs into --username: {like}")
    if ":" in uri.host:
        raise ValueError(f"{text} is an IPv6 address, but calls use IPv4 so far: {like}")
    is_number = re.fullmatch(r"[0-9.]+", uri.host) is not None
    if _HOST.match(uri.host) is None or (is_number and not _is_ipv4(uri.host)) or uri.port == 0:
        raise ValueError(f"{text!r} is no address of a trunk: {like}")
    transport = uri.parameters.get("transport")
    others = [name for name, _ in uri.parameters.pairs if name.lower() != "transport"]
    if others or uri.headers or (transport or "udp").lower() not in _TRANSPORTS:
        raise ValueError(f"{text} says more than we know to do: {like}")
    port = "" if uri.port is None else f":{uri.port}"
    via = "" if transport is None else f";transport={transport.lower()}"
    return f"sip:{uri.host.lower()}{port}{via}"


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _prefix(text: str) -> str:
    if _PREFIX.match(text.strip()) is None:
        raise ValueError(f"{text!r} is no beginning of numbers: write it with country code, +65")
    return "+" + text.strip().removeprefix("+")


def _source(text: str) -> str:
    try:
        network = read_network(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no network: write it like 192.0.2.9 or 192.0.2.0/24"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"{text} is everybody: name the networks that the carrier calls from")
    return str(network)


def _country(text: str | None) -> str | None:
    if text is None:
        return None
    country = text.strip().upper()
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{text!r} is no country: write its two letters of ISO 3166, such as SG")
    return country


def _choice(kind: type[E], text: str, option: str) -> E:
    try:
        return kind(text.lower())
    except ValueError:
        raise ValueError(f"{option} {text}: choose {', '.join(kind)}") from None
