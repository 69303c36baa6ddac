"""What can go wrong for an application."""

from __future__ import annotations


class ClientError(Exception):
    """Base of the client's exceptions."""


class ApiError(ClientError):
    """
    The server refused the request, and says why.

    Args:
        path: What was asked for, such as `ivr/middle/record`.
        status: The documented status, such as `error_session_not_ready`.
    """

    def __init__(self, path: str, status: str) -> None:
        super().__init__(f"{path}: {status}")
        self.path = path
        self.status = status


class RequestFailed(ClientError):
    """
    There was no answer that can be read; the cause is chained.

    The server may have acted all the same: a call may have been placed.
    """


class NotificationRefused(ClientError):
    """Not from the server, too old, or not a notification; the text says which."""
