"""The settings: one frozen object, read from the environment once, refused when contradictory.

Every field is an environment variable with the prefix `VOICEBLOCKS_`; names are a
contract with operators and never change.
"""

from __future__ import annotations

import ipaddress
import os
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Network = IPv4Network | IPv6Network
Networks = Annotated[tuple[Network, ...], NoDecode]
Seconds = Annotated[tuple[float, ...], NoDecode]

DNS_PORT = 53
LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def parse_listen(text: str) -> tuple[str, int]:
    """
    Split `HOST:PORT` (IPv6 in brackets).

    Raises:
        ValueError: If it is not of that form; the message says how to write it.
    """
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, such as 127.0.0.1:8080")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach what listens on `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def explain(error: ValidationError) -> list[str]:
    """One sentence for each setting that is wrong."""
    sentences = []
    for problem in error.errors(include_url=False, include_input=False):
        name = "_".join(str(part) for part in problem["loc"]).upper()
        sentences.append(f"VOICEBLOCKS_{name}: {problem['msg'].removeprefix('Value error, ')}")
    return sentences


class Settings(BaseSettings):
    """What an operator can set."""

    model_config = SettingsConfigDict(env_prefix="VOICEBLOCKS_", frozen=True, extra="ignore")

    data_dir: Path = Path("var")
    "SQLite file, spools, recordings, caches."
    http_listen: str = "127.0.0.1:8080"
    "Public HTTP: the API and the recordings' links."
    admin_listen: str = "127.0.0.1:8081"
    "HTTP for the operator: `/docs`, `/metrics`."
    sip_listen: str = "127.0.0.1:5060"
    "SIP over UDP and TCP on the same port."
    public_url: str = ""
    "Base of the links that we hand out; empty means `http://HTTP_LISTEN`."
    node: str = Field(default="1", pattern=r"\A[A-Za-z0-9]{1,16}$")
    "Part of session ids and transaction references."
    sip_public_address: str = ""
    "What Contact says; empty means the local address of the route to that peer."
    media_address: str = ""
    "What SDP says; empty means the local address of the route to that peer."
    rtp_ports: str = "20000-29999"
    "First and last UDP port for RTP and RTCP."
    accept_calls_from: Networks = LOOPBACK
    "Networks that may send us calls (CIDR, comma list); others are dropped unanswered."
    trusted_proxies: Networks = ()
    "Whose X-Forwarded-* headers count."
    secret_key_file: Path | None = None
    "Empty means `DATA_DIR/secret.key`."
    database_url: str = ""
    "Empty means `sqlite:///DATA_DIR/voiceblocks.db`; or `postgresql://…`."
    recordings_url: str = ""
    "Empty means `file://DATA_DIR/recordings`; or `s3://bucket/prefix`, `gs://`, `az://`."
    allow_private_targets: Annotated[tuple[Network, ...] | None, NoDecode] = None
    "Private networks that notify_url and `<url>` may reach; loopback while HTTP_LISTEN is."
    name_servers: Annotated[tuple[tuple[str, int], ...], NoDecode] = ()
    "Who is asked for the hosts of notify_url and `<url>`; empty means the system's resolver."
    speech_engines: str = ""
    "Order in which `piper`, `openai` and `espeak-ng` are asked; see docs/speech.md."
    voices_dir: Path | None = None
    "Of Piper voices; empty means `DATA_DIR/voices`."
    openai_speech_url: str = ""
    "Base of a speech server, such as `https://api.openai.com/v1`; empty means none."
    openai_speech_key: SecretStr = SecretStr("")
    "Its key; better in a file."
    openai_speech_key_file: Path | None = None
    "A file with its key."
    openai_speech_model: str = "tts-1"
    "Its model; part of the cache's keys."
    openai_speech_voices: str = ""
    "Which of its voices speaks which language, such as `*=nova/onyx`."
    openai_speech_timeout_s: float = Field(default=10, gt=0, le=60)
    "For one text; after it the next engine is asked."
    link_ttl_s: int = Field(default=31_536_000, ge=1)
    "Life of a recording's link."
    link_redirect_s: int = Field(default=0, ge=0, le=604_800)
    "Readers are sent on to the remote store with a link good for so long; 0: served from here."
    rate_limit_ivr: int = Field(default=600, ge=1)
    "Blocks and calls per minute, application and API."
    rate_limit_query: int = Field(default=60, ge=1)
    "Queries, moderation and hang-ups per minute, application and API."
    media_workers: int = Field(default=0, ge=0)
    "Media worker processes; 0 means one a core."
    calls_per_worker: int = Field(default=500, ge=1)
    "Legs that one media worker takes; `voiceblocks bench` says what this machine carries."
    max_calls_per_account: int = Field(default=8, ge=1)
    "As the original; raise it freely."
    max_numbers_per_account: int = Field(default=10, ge=0)
    "Numbers that an account may subscribe, unless it has a figure of its own."
    browser_calls: int = Field(default=4, ge=0, le=100)
    "Calls from the console's phone at the same time, each with a process of its own; 0: none."
    max_room_participants: int = Field(default=8, ge=2)
    "Of one conference room; as the original."
    call_dest1_sees: Literal["dest2", "account"] = "dest2"
    "Which number `voice/call` shows to dest1: dest2's, or what the account shows by default."
    dials_per_minute: int = Field(default=60, ge=1)
    "Outgoing calls that an account may begin in a minute, unless it has a figure of its own."
    answer_timeout_s: float = Field(default=60, gt=0)
    "Ringing without a block."
    idle_timeout_s: float = Field(default=30, gt=0)
    "A session whose application sends no next block."
    notify_retry_pauses_s: Seconds = (
        *(30, 120, 600, 3600, 10_800, 21_600, 43_200),
        *(86_400, 86_400, 86_400, 86_400),
    )
    """After a call, pauses between the attempts to tell what lasts (comma list), once its
    first six within 8 s have failed; then it is given up."""
    notify_retry_jitter: float = Field(default=0.2, ge=0, le=1)
    "Share of each such pause that chance adds at most."
    notify_requests_per_host: int = Field(default=128, ge=1)
    "Notifications on their way to one host at the same time."
    max_call_s: int = Field(default=14_400, ge=1)
    "No call lives longer; a running block's max_duration counts on top."
    drain_timeout_s: float = Field(default=60, ge=0)
    "After draining so long, recordings are finished with `record_end=server_restart`."
    cache_max_mb: int = Field(default=3072, ge=1)
    "Rendered prompts (two thirds) and downloaded audio files (one third)."
    keep_cache_days: int = Field(default=30, ge=0)
    "Since they were last used; 0 means for ever."
    keep_recordings_days: int = Field(default=0, ge=0)
    "0 means for ever."
    recordings_quota_mb: int = Field(default=0, ge=0)
    "What an account's stored recordings may take up, unless it has a figure of its own; 0: all."
    disk_reserve_mb: int = Field(default=256, ge=0)
    "Room on disk that is never promised to a recording."
    keep_story_days: int = Field(default=30, ge=0)
    keep_attempts_days: int = Field(default=30, ge=0)
    log_json: bool = False
    "Logs as one JSON object a line."
    log_level: str = Field(default="info", pattern=r"\A(debug|info|warning|error)$")
    ring_dir: Path | None = None
    "Where the recordings' rings live; empty means a folder in /dev/shm, else `DATA_DIR/rings`."

    @field_validator("accept_calls_from", "trusted_proxies", "allow_private_targets", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(
                ipaddress.ip_network(part.strip(), strict=False)
                for part in value.split(",")
                if part.strip()
            )
        return value

    @field_validator("name_servers", mode="before")
    @classmethod
    def _split_name_servers(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(_name_server(part.strip()) for part in value.split(",") if part.strip())
        return value

    @field_validator("notify_retry_pauses_s", mode="before")
    @classmethod
    def _split_pauses(cls, value: object) -> object:
        if isinstance(value, str):
            value = tuple(float(part) for part in value.split(",") if part.strip())
        if isinstance(value, tuple) and not all(0 < pause <= 31_536_000 for pause in value):
            raise ValueError("each pause is a number of seconds above 0, such as 30,120,600")
        return value

    @field_validator("http_listen", "admin_listen", "sip_listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        parse_listen(value)
        return value

    @field_validator("rtp_ports")
    @classmethod
    def _check_ports(cls, value: str) -> str:
        first, _, last = value.partition("-")
        if not (first.isdecimal() and last.isdecimal() and 0 < int(first) < int(last) <= 65535):
            raise ValueError("RTP_PORTS is FIRST-LAST, such as 20000-29999")
        return value

    @cached_property
    def root(self) -> Path:
        """The data folder as an absolute path."""
        return self.data_dir.expanduser().absolute()

    @property
    def rtp_port_range(self) -> range:
        """The ports as a range."""
        first, _, last = self.rtp_ports.partition("-")
        return range(int(first), int(last) + 1)

    @property
    def effective_database_url(self) -> str:
        """`DATABASE_URL`, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{self.root / 'voiceblocks.db'}"

    @property
    def effective_recordings_url(self) -> str:
        """`RECORDINGS_URL`, or a folder in the data folder."""
        return self.recordings_url or f"file://{self.root / 'recordings'}"

    @property
    def effective_secret_key_file(self) -> Path:
        """`SECRET_KEY_FILE`, or `secret.key` in the data folder."""
        return self.secret_key_file or self.root / "secret.key"

    @property
    def effective_voices_dir(self) -> Path:
        """`VOICES_DIR`, or `voices` in the data folder."""
        return self.voices_dir or self.root / "voices"

    @property
    def effective_media_workers(self) -> int:
        """`MEDIA_WORKERS`, or one a core."""
        return self.media_workers or os.cpu_count() or 1

    @property
    def effective_private_targets(self) -> tuple[Network, ...]:
        """Private networks that we may send requests to."""
        if self.allow_private_targets is not None:
            return self.allow_private_targets
        host, _port = parse_listen(self.http_listen)
        return LOOPBACK if is_loopback(host) else ()


def _name_server(text: str) -> tuple[str, int]:
    host, port = (text, DNS_PORT) if _is_address(text) else parse_listen(text)
    if not _is_address(host) or not port:
        raise ValueError(f"{text!r} is no name server: write its IP address, such as 9.9.9.9")
    return host, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
