"""Why a request is refused before anybody looks at what it asks for."""

from __future__ import annotations

from voiceblocks.errors import RequestRefused


class InvalidAccessToken(RequestRefused):
    """The access token is unknown, expired or revoked."""


class InvalidAppId(RequestRefused):
    """The application is unknown or revoked, or the token belongs to another one."""


class AccountDisabled(RequestRefused):
    """The operator lets the account do nothing."""


class RateLimitExceeded(RequestRefused):
    """The application asked this API too often; nothing was done."""
