"""What the server's database says of a call: its legs, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import Row

from voiceblocks.database.schema import charges, legs, sessions


class Facts:
    """
    A look into the database.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url)

    def close(self) -> None:
        """Give the connection back."""
        self._engine.dispose()

    def charges_of(self, session: str) -> dict[str, int]:
        """Thousandths by the id of the charge, without what all ids of a call begin with."""
        query = sqlalchemy.select(charges.c.id, charges.c.amount).where(
            charges.c.session_id == session
        )
        return {row.id.removeprefix(f"chg_{session}_"): row.amount for row in self._rows(query)}

    def legs_of(self, session: str) -> Sequence[Row[Any]]:
        """The further legs, by number."""
        return self._rows(
            sqlalchemy.select(legs).where(legs.c.session_id == session).order_by(legs.c.number)
        )

    def session_of(self, txn_ref: str) -> str:
        """The session of a transaction."""
        query = sqlalchemy.select(sessions.c.id).where(sessions.c.txn_ref == txn_ref)
        return str(self._rows(query)[0].id)

    def _rows(self, query: sqlalchemy.Select[Any]) -> Sequence[Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()
