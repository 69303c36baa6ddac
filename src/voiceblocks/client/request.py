"""One request as a value: where it goes, what it says, and how its answer is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from voiceblocks.client.errors import ApiError, RequestFailed

T = TypeVar("T")

SUCCESS = "success_ok"


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """What a client sends; made by `requests_*`, sent by `Client.send`."""

    path: str
    "Below `/open/`."
    fields: Mapping[str, str]
    "Without credentials."
    read: Callable[[Mapping[str, Any]], T]
    "From the answer's JSON object."

    def form(self, app_id: str, access_token: str) -> bytes:
        """The body of the POST."""
        return urlencode({"app_id": app_id, "access_token": access_token, **self.fields}).encode(
            "ascii"
        )

    def answer(self, body: bytes) -> T:
        """
        Read an answer.

        Raises:
            ApiError: If the server refused.
            RequestFailed: If it is no answer of such a server.
        """
        try:
            told = json.loads(body)
            status = told["status"]
        except (ValueError, TypeError, KeyError) as error:
            raise RequestFailed(f"{self.path}: not an answer of this API") from error
        if status != SUCCESS:
            raise ApiError(self.path, str(status))
        try:
            return self.read(told)
        except (ValueError, TypeError, KeyError, ArithmeticError) as error:
            raise RequestFailed(f"{self.path}: an answer with something missing") from error


def request(
    path: str, read: Callable[[Mapping[str, Any]], T], **fields: str | float | bool | None
) -> Request[T]:
    """Make a request; fields that are `None` are left out."""
    return Request(path, {name: _text(v) for name, v in fields.items() if v is not None}, read)


def nothing(_told: Mapping[str, Any]) -> None:
    """Read an answer that holds nothing but its status."""


def _text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "enabled" if value else "disabled"
    return str(value)
