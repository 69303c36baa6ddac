"""What tests of the outbox need around it: an account, an application, sessions."""

from __future__ import annotations

from sqlalchemy import Connection, select

from voiceblocks.accounts.model import Account, Application
from voiceblocks.database import accounts, notifications, schema, sessions
from voiceblocks.ids import AccountId, AppId, SessionId, TxnRef
from voiceblocks.money import Thousandths
from voiceblocks.notifications.model import Notification, new_notification
from voiceblocks.notifications.state import NotificationState
from voiceblocks.sessions.model import Direction, Session
from voiceblocks.sessions.state import SessionState

APP = AppId("app0000000000001")
SECOND_US = 1_000_000
START_US = 1_700_000_000 * SECOND_US


def add_application(connection: Connection, app_id: str = APP) -> None:
    """Insert an application; the first, with their account, is that of all sessions here."""
    if app_id == APP:
        account = Account(
            id=AccountId("acc_1"), name="a", currency="SGD", credit=Thousandths(0), created_us=0
        )
        accounts.insert_account(connection, account)
    application = Application(
        id=AppId(app_id), account_id=AccountId("acc_1"), name="a", created_us=0
    )
    accounts.insert_application(connection, application)


def add_session(connection: Connection, session_id: str) -> None:
    """Insert a session that waits for a block."""
    session = Session(
        id=SessionId(session_id),
        txn_ref=TxnRef(f"AA-{session_id}"),
        node="1",
        account_id=AccountId("acc_1"),
        app_id=APP,
        direction=Direction.INBOUND,
        from_number="+6591110000",
        to_number="+6531580000",
        state=SessionState.WAITING,
        last_block="answer",
        last_notify_url=None,
        last_tag="",
        run_id=None,
        notification_count=0,
        currency="SGD",
        rate=Thousandths(20),
        debit=None,
        duration_min=None,
        disposition=None,
        dialog=None,
        created_us=START_US,
        answered_us=None,
        ended_us=None,
    )
    sessions.insert(connection, session)


def add_notification(
    connection: Connection,
    session_id: str,
    *,
    block: str = "play",
    url: str = "http://app.example/n?own=1",
    parameters: str = "tag=",
    call_ended: bool = False,
    now_us: int = START_US,
    app_id: str = APP,
) -> Notification:
    """Insert the session's next notification; its id is `evt_SESSION_SEQUENCE`."""
    sequence = sessions.next_notification_sequence(connection, session_id)
    notification = new_notification(
        notification_id=f"evt_{session_id}_{sequence}",
        session_id=session_id,
        sequence=sequence,
        app_id=app_id,
        block=block,
        url=url,
        parameters=parameters,
        call_ended=call_ended,
        now_us=now_us,
    )
    notifications.insert(connection, notification)
    return notification


def end_session(connection: Connection, session_id: str) -> None:
    """Mark the session ended."""
    sessions.update(connection, session_id, state=SessionState.ENDED, ended_us=START_US)


def states(connection: Connection) -> dict[str, NotificationState]:
    """All notifications' states by id."""
    table = schema.notifications
    rows = connection.execute(select(table.c.id, table.c.state).order_by(table.c.id))
    return {row.id: NotificationState(row.state) for row in rows}
