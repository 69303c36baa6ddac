"""Client of the Voiceblocks API, for applications: calls, blocks, and what calls tell.

```
from voiceblocks.client import Client, receive_notification

client = Client("http://127.0.0.1:8080/open/", app_id, access_token)
notification = receive_notification(body, headers, access_token)     # checked and read
if notification.block == "answer":
    client.ivr.record(notification.session, msg="Speak now.", notify_url=our_url)
```

`AsyncClient` has the same methods as coroutines. Nothing of the server is imported:
the standard library is enough, and aiohttp once an `AsyncClient` makes its first request.
"""

from voiceblocks.client.answers import (
    AccountInfo,
    Balance,
    CallStatus,
    Conference,
    Country,
    Dialled,
    History,
    Number,
    NumberChoices,
    Placed,
    Rate,
    State,
    Subscription,
    SubscriptionRate,
    Transferred,
)
from voiceblocks.client.clients import AsyncClient, Client
from voiceblocks.client.errors import (
    ApiError,
    ClientError,
    NotificationRefused,
    RequestFailed,
)
from voiceblocks.client.notifications import (
    Bill,
    Notification,
    check_signatures,
    parse_notification,
    receive_notification,
)
from voiceblocks.client.request import Request

__all__ = [
    "AccountInfo",
    "ApiError",
    "AsyncClient",
    "Balance",
    "Bill",
    "CallStatus",
    "Client",
    "ClientError",
    "Conference",
    "Country",
    "Dialled",
    "History",
    "Notification",
    "NotificationRefused",
    "Number",
    "NumberChoices",
    "Placed",
    "Rate",
    "Request",
    "RequestFailed",
    "State",
    "Subscription",
    "SubscriptionRate",
    "Transferred",
    "check_signatures",
    "parse_notification",
    "receive_notification",
]
