"""Refuse addresses that would make calls without audio (contract: `serve` says a sentence)."""

from __future__ import annotations

import ipaddress

from voiceblocks.errors import StartupError
from voiceblocks.settings import LOOPBACK, Settings, parse_listen


def check_addresses(settings: Settings) -> None:
    """
    Check what Contact and SDP will say.

    Raises:
        StartupError: If a peer could not reach it.
    """
    sip_host, _port = parse_listen(settings.sip_listen)
    for name, value in (
        ("SIP_PUBLIC_ADDRESS", settings.sip_public_address),
        ("MEDIA_ADDRESS", settings.media_address),
    ):
        if not value:
            continue
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            raise StartupError(
                f"VOICEBLOCKS_{name}={value} is not an IP address: SDP and Contact need one."
            ) from None
        if address.is_unspecified:
            raise StartupError(
                f"VOICEBLOCKS_{name}={value} reaches nobody: set it to the address at which "
                "phones and carriers reach this machine, or leave it empty."
            )
        if address.is_loopback and _takes_calls_from_elsewhere(settings, sip_host):
            raise StartupError(
                f"VOICEBLOCKS_{name}={value} is loopback, but calls may come from other machines "
                f"(SIP_LISTEN={settings.sip_listen}, ACCEPT_CALLS_FROM): they would hear nothing. "
                "Set it to this machine's address, or leave it empty."
            )


def _takes_calls_from_elsewhere(settings: Settings, sip_host: str) -> bool:
    try:
        if ipaddress.ip_address(sip_host).is_loopback:
            return False
    except ValueError:
        pass
    return any(network not in LOOPBACK for network in settings.accept_calls_from)
