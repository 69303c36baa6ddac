"""Is this machine set up so that calls come in, are heard, and are told of?

Each check says what it looked at, whether it is well, and else what to do. Nothing is changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import resource
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from voiceblocks.accounts.secret_key import load_keys
from voiceblocks.adapters.notify_url_check import NotifyUrlCheck
from voiceblocks.database.engines import sqlite_path
from voiceblocks.database.migrate import SchemaState, check_schema
from voiceblocks.errors import InvalidRequest, StartupError
from voiceblocks.server.addresses import check_addresses
from voiceblocks.server.outgoing_http import guarded_http
from voiceblocks.settings import LOOPBACK, Settings, is_loopback, parse_listen
from voiceblocks.system_clock import SystemClock

_LEAST_FREE_BYTES: Final = 1_000_000_000
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (only looked at)
_LEAST_DESCRIPTORS: Final = 65_536


class Verdict(StrEnum):
    """How a check ended."""

    WELL = "well"
    LOOK = "look"
    "It works, but somebody should look at it."
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome."""

    about: str
    verdict: Verdict
    says: str


def examine(settings: Settings, notify_urls: Sequence[str], *, is_running: bool) -> list[Finding]:
    """
    Check everything.

    Args:
        settings: Of this node.
        notify_urls: Those of the numbers.
        is_running: Whether the server runs now, and so holds its ports itself.
    """
    return [
        *_ports(settings, is_running),
        _addresses(settings),
        *_sources(settings),
        _key(settings),
        _database(settings),
        *_disk(settings),
        _descriptors(),
        _clock(),
        _speech(),
        *_notify_urls(settings, notify_urls),
    ]


def firewall_lines(settings: Settings) -> list[str]:
    """The lines that let in what must come in (nftables), nothing where all is on this machine."""
    lines = []
    sources = ", ".join(
        str(one) for one in settings.accept_calls_from if one not in LOOPBACK and one.version == 4
    )
    host, port = parse_listen(settings.sip_listen)
    if not is_loopback(host):
        whom = f"ip saddr {{ {sources} }} " if sources else ""
        ports = settings.rtp_port_range
        lines += [
            f"nft add rule inet filter input {whom}udp dport {port} accept",
            f"nft add rule inet filter input {whom}tcp dport {port} accept",
            f"nft add rule inet filter input udp dport {ports.start}-{ports.stop - 1} accept",
        ]
    host, port = parse_listen(settings.http_listen)
    if not is_loopback(host):
        lines.append(f"nft add rule inet filter input tcp dport {port} accept")
    return lines


def _ports(settings: Settings, is_running: bool) -> Iterator[Finding]:
    listening = [
        ("HTTP_LISTEN", settings.http_listen, socket.SOCK_STREAM),
        ("ADMIN_LISTEN", settings.admin_listen, socket.SOCK_STREAM),
        ("SIP_LISTEN (UDP)", settings.sip_listen, socket.SOCK_DGRAM),
        ("SIP_LISTEN (TCP)", settings.sip_listen, socket.SOCK_STREAM),
    ]
    for name, value, kind in listening:
        if is_running:
            yield Finding(name, Verdict.WELL, f"{value}, held by the running server")
            continue
        taken = _why_not_bound(*parse_listen(value), kind)
        if taken is None:
            yield Finding(name, Verdict.WELL, f"{value} is free")
        else:
            what = f"{value} cannot be listened on ({taken}): stop what has it, or set another"
            yield Finding(name, Verdict.BAD, what)
    host, _port = parse_listen(settings.admin_listen)
    if not is_loopback(host):
        yield Finding(
            "ADMIN_LISTEN",
            Verdict.LOOK,
            "the operator's port is open to other machines: put TLS before it, or use loopback",
        )


def _why_not_bound(host: str, port: int, kind: socket.SocketKind) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, kind)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def _addresses(settings: Settings) -> Finding:
    try:
        check_addresses(settings)
    except StartupError as error:
        return Finding("addresses", Verdict.BAD, str(error))
    host, _port = parse_listen(settings.sip_listen)
    if not is_loopback(host) and not settings.media_address:
        return Finding(
            "addresses",
            Verdict.LOOK,
            "SDP names this machine's own address: behind NAT set VOICEBLOCKS_MEDIA_ADDRESS and "
            "VOICEBLOCKS_SIP_PUBLIC_ADDRESS to the outer one, or nobody hears anything",
        )
    return Finding("addresses", Verdict.WELL, "Contact and SDP will name what peers can reach")


def _sources(settings: Settings) -> Iterator[Finding]:
    host, _port = parse_listen(settings.sip_listen)
    if is_loopback(host):
        says = "SIP listens on loopback: only programs of this machine can call"
        yield Finding("who may call", Verdict.LOOK, says)
    elif any(network.prefixlen == 0 for network in settings.accept_calls_from):
        says = "everybody may send calls: name your carriers in VOICEBLOCKS_ACCEPT_CALLS_FROM"
        yield Finding("who may call", Verdict.BAD, says)
    else:
        yield Finding("who may call", Verdict.WELL, "only the networks that were named")


def _key(settings: Settings) -> Finding:
    path = settings.effective_secret_key_file
    if not path.exists():
        return Finding("secret key", Verdict.WELL, f"{path} will be made at the first start")
    try:
        load_keys(path)
    except StartupError as error:
        return Finding("secret key", Verdict.BAD, str(error))
    return Finding("secret key", Verdict.WELL, f"{path}: keep a copy of it somewhere safe")


def _database(settings: Settings) -> Finding:
    path = sqlite_path(settings.effective_database_url)
    if path is not None and not path.exists():
        return Finding("database", Verdict.WELL, f"{path} will be made at the first start")
    try:
        state = check_schema(settings.effective_database_url)
    except StartupError as error:
        return Finding("database", Verdict.BAD, str(error))
    says = {
        SchemaState.EMPTY: "reachable and empty: the first start makes its tables",
        SchemaState.OLDER: "of an older version: make a backup, then `voiceblocks upgrade`",
        SchemaState.CURRENT: "reachable and of this version",
    }
    verdict = Verdict.LOOK if state is SchemaState.OLDER else Verdict.WELL
    return Finding("database", verdict, says[state])


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    hours = free / 11_000_000
    says = f"{free / 1e9:.1f} GB free in {folder}: {hours:,.0f} hours of recordings"
    verdict = Verdict.WELL if free >= _LEAST_FREE_BYTES else Verdict.BAD
    yield Finding("disk", verdict, says)
    if not _SHARED_MEMORY.is_dir():
        says = "there is no /dev/shm: recordings go through the disk, which can delay audio"
        yield Finding("shared memory", Verdict.LOOK, says)
    else:
        free = shutil.disk_usage(_SHARED_MEMORY).free
        yield Finding("shared memory", Verdict.WELL, f"{free / 1e6:,.0f} MB free in /dev/shm")


def _descriptors() -> Finding:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _LEAST_DESCRIPTORS:
        says = f"at most {hard} open files: set LimitNOFILE={_LEAST_DESCRIPTORS} for many calls"
        return Finding("open files", Verdict.LOOK, says)
    return Finding("open files", Verdict.WELL, "as many as are needed")


def _clock() -> Finding:
    if time.time() < 1_700_000_000:
        says = "the clock is years behind: links and signatures would be worthless"
        return Finding("clock", Verdict.BAD, says)
    synchronised = Path("/run/systemd/timesync/synchronized").exists() or any(
        Path(path).exists() for path in ("/run/chrony/chronyd.pid", "/run/ntpd.pid")
    )
    if not synchronised:
        says = "nobody seems to keep it right: run chrony or systemd-timesyncd"
        return Finding("clock", Verdict.LOOK, says)
    return Finding("clock", Verdict.WELL, "kept right")


def _speech() -> Finding:
    if importlib.util.find_spec("espeakng_loader") or shutil.which("espeak-ng"):
        return Finding("speech", Verdict.WELL, "espeak-ng is here")
    says = "no espeak-ng: pip install 'voiceblocks[speech]', or apt-get install espeak-ng"
    return Finding("speech", Verdict.BAD, says)


def _notify_urls(settings: Settings, urls: Sequence[str]) -> list[Finding]:
    return asyncio.run(_check_urls(settings, urls)) if urls else []


async def _check_urls(settings: Settings, urls: Sequence[str]) -> list[Finding]:
    http = guarded_http(settings)
    try:
        check = NotifyUrlCheck(http, SystemClock())
        return [await _check_url(check, url) for url in dict.fromkeys(urls)]
    finally:
        await http.close()


async def _check_url(check: NotifyUrlCheck, url: str) -> Finding:
    shown = url.partition("?")[0]
    try:
        await check.check(url)
    except InvalidRequest as error:
        return Finding("notify URL", Verdict.BAD, f"{shown}: {error}")
    return Finding("notify URL", Verdict.WELL, f"{shown} can be told")
