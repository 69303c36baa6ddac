"""What the settings say of the caches, for the node and for `voiceblocks cache`."""

from __future__ import annotations

from voiceblocks.adapters.cache_folder import CacheLimits
from voiceblocks.settings import Settings

DAY_S = 86_400.0


def prompt_cache_limits(settings: Settings) -> CacheLimits:
    """Of rendered prompts, both laws together: a megabyte is a minute of them."""
    return CacheLimits((settings.cache_max_mb << 20) * 2 // 3, _max_age_s(settings))


def download_cache_limits(settings: Settings) -> CacheLimits:
    """Of downloaded audio files."""
    return CacheLimits((settings.cache_max_mb << 20) // 3, _max_age_s(settings))


def _max_age_s(settings: Settings) -> float | None:
    return settings.keep_cache_days * DAY_S if settings.keep_cache_days else None
