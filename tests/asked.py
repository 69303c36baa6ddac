"""What SQLite was asked, whoever asked it, and how it finds that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def plans_of(path: Path, statements: list[str], *starts: str) -> list[str]:
    """
    Return a line for each step in which SQLite carries out these statements.

    Args:
        path: Of the database, which is only looked at.
        statements: As `sqlite3.Connection.set_trace_callback` tells them, with their values.
        starts: Which of them count, by their first words.
    """
    with closing(sqlite3.connect(path)) as connection:
        return [
            step[3]
            for statement in statements
            if statement.lstrip().startswith(starts)
            for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        ]
