"""The client for all our own HTTP requests, as the settings want it."""

from __future__ import annotations

from voiceblocks.adapters.checked_resolver import NameServers
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.settings import Settings


def guarded_http(settings: Settings) -> GuardedHttp:
    """Make it; it belongs to the event loop that uses it, which closes it."""
    servers = settings.name_servers
    return GuardedHttp(
        settings.effective_private_targets, lookup=NameServers(servers) if servers else None
    )
