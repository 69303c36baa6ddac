"""The tables. The only description of the data; migrations are tested against it.

Money is integer thousandths, times are UTC integer microseconds (decision 20), ids
are text. Text columns of states hold the enum members' values.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("currency", String(3), nullable=False),
    # The sum of the account's two books in the ledger, kept beside it: points and bonus.
    Column("credit", BigInteger, nullable=False),
    Column("bonus", BigInteger, nullable=False),
    Column("overdraft", BigInteger, nullable=False),
    Column("is_trial", Boolean, nullable=False),
    Column("max_calls", Integer),
    Column("max_numbers", Integer),
    Column("registered_number", String(20)),
    Column("email", Text),
    Column("country", String(2)),
    Column("dials_per_minute", Integer),
    Column("spend_per_day", BigInteger),
    Column("rate_limit_ivr", Integer),
    Column("rate_limit_query", Integer),
    Column("recordings_quota_bytes", BigInteger),
    Column("disabled_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
)

# Decision 9: what an account may call. No row: nobody.
allowed_prefixes = Table(
    "allowed_prefixes",
    metadata,
    Column("account_id", String(32), ForeignKey("accounts.id"), primary_key=True),
    Column("prefix", String(20), primary_key=True),
)

applications = Table(
    "applications",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    # Whether keys become silence in its recordings.
    Column("silences_keys", Boolean, nullable=False),
    # Public key that its recordings are sealed for.
    Column("seal_for", LargeBinary),
    Column("keep_recordings_days", Integer),
    Column("revoked_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Index(None, "account_id"),
)

# Decision 6: looked up by HMAC, sealed with AES-GCM so that notifications can be signed.
access_tokens = Table(
    "access_tokens",
    metadata,
    Column("lookup", LargeBinary(32), primary_key=True),
    Column("app_id", String(16), ForeignKey("applications.id"), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked_us", BigInteger),
    Index(None, "app_id", "created_us"),
)

numbers = Table(
    "numbers",
    metadata,
    Column("number", String(20), primary_key=True),
    Column("app_id", String(16), ForeignKey("applications.id"), nullable=False),
    Column("notify_url", Text),
    # Of a subscribed one; the operator's own numbers do not expire.
    Column("expires_us", BigInteger),
    Column("auto_extend", Boolean, nullable=False),
    Column("months", Integer),
    Column("disabled_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Index(None, "expires_us"),
    # An application's numbers, among all that there are.
    Index(None, "app_id", "number"),
)

# What can be subscribed; a number that is in `numbers` as well is somebody's now.
number_stock = Table(
    "number_stock",
    metadata,
    Column("number", String(20), primary_key=True),
    Column("country", String(2), nullable=False),
    Column("country_name", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("state_name", Text, nullable=False),
    # After a subscription it rests, so that nobody gets the calls of who had it before.
    Column("free_from_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    # Counts what is free without looking at the rows.
    Index(None, "country", "state", "number", "free_from_us"),
)

number_rates = Table(
    "number_rates",
    metadata,
    Column("country", String(2), primary_key=True),
    Column("months", Integer, primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("rate", BigInteger, nullable=False),
)

tariffs = Table(
    "tariffs",
    metadata,
    Column("direction", String(8), primary_key=True),
    Column("prefix", String(20), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("rate", BigInteger, nullable=False),
    Column("block_s", Integer, nullable=False),
)

# One row a call: what the customer pays for, and what its application drives.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("txn_ref", String(48), nullable=False, unique=True),
    Column("node", String(16), nullable=False),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("app_id", String(16), ForeignKey("applications.id"), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("from_number", String(64), nullable=False),
    Column("to_number", String(64), nullable=False),
    Column("state", String(12), nullable=False),
    # The application's last words, for a notification that belongs to no running block.
    Column("last_block", String(12), nullable=False),
    Column("last_notify_url", Text),
    Column("last_tag", Text, nullable=False),
    Column("run_id", String(32)),
    Column("room", String(32)),
    Column("monitor_id", String(48)),
    Column("max_duration_s", Integer),
    Column("notification_count", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("rate", BigInteger, nullable=False),
    Column("block_s", Integer, nullable=False),
    # What is kept back for the call while it lives, and until when that pays for it.
    Column("held", BigInteger, nullable=False),
    Column("paid_until_us", BigInteger),
    Column("metered_us", BigInteger),
    Column("credit_ended_us", BigInteger),
    Column("debit", BigInteger),
    Column("duration_min", Integer),
    Column("disposition", String(12)),
    Column("end_cause", String(20)),
    Column("end_status", Integer),
    Column("dialog", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("answered_us", BigInteger),
    Column("ended_us", BigInteger),
    Index(None, "state", "node"),
    Index(None, "account_id", "created_us"),
    # Counts an account's live calls without looking at all the calls it ever had.
    Index(None, "account_id", "state"),
    # An application's history, newest first, page by page.
    Index(None, "app_id", "created_us", "id"),
    # The console's, likewise.
    Index(None, "created_us", "id"),
)

# Legs beside the session's own: what a transfer dialled, or the second of `voice/call`.
legs = Table(
    "legs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("session_id", String(48), ForeignKey("sessions.id"), nullable=False),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    # Counts from 2 within a session, whose own leg is the first.
    Column("number", Integer, nullable=False),
    Column("dest", String(20), nullable=False),
    Column("caller", String(64), nullable=False),
    # Without a foreign key: what was dialled outlives the trunk that carried it.
    Column("trunk_id", String(32)),
    Column("rate", BigInteger, nullable=False),
    Column("block_s", Integer, nullable=False),
    Column("debit", BigInteger),
    Column("disposition", String(12)),
    Column("dialog", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("answered_us", BigInteger),
    Column("ended_us", BigInteger),
    UniqueConstraint("session_id", "number"),
    # Counts what an account dialled in the last minute.
    Index(None, "account_id", "created_us"),
)

block_runs = Table(
    "block_runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("session_id", String(48), ForeignKey("sessions.id"), nullable=False),
    Column("block", String(12), nullable=False),
    Column("notify_url", Text),
    Column("tag", Text, nullable=False),
    Column("recording_id", String(48)),
    Column("created_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),
    Column("end_reason", String(16)),
    Index(None, "session_id", "created_us"),
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("session_id", String(48), ForeignKey("sessions.id"), nullable=False),
    Column("app_id", String(16), ForeignKey("applications.id"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("state", String(12), nullable=False),
    Column("end_reason", String(16)),
    # Of a monitor: where it is told, which may be elsewhere than its block's end.
    Column("notify_url", Text),
    Column("tag", Text),
    Column("object_name", String(64), nullable=False, unique=True),
    Column("size_bytes", BigInteger),
    Column("duration_ms", BigInteger),
    Column("sha256", String(64)),
    Column("packets_expected", BigInteger),
    Column("packets_received", BigInteger),
    Column("packets_late", BigInteger),
    Column("packets_lost", BigInteger),
    Column("absent_ms", BigInteger),
    Column("silent_ms", BigInteger),
    Column("paused_ms", BigInteger),
    Column("level_dbfs", Float),
    Column("is_one_way", Boolean),
    Column("trims_silence", Boolean, nullable=False),
    Column("silences_keys", Boolean, nullable=False),
    # The longest that it may become, for the room that it needs on disk.
    Column("limit_s", Integer),
    # Counts how often its links were revoked; each link carries the number of its time.
    Column("link_revision", Integer, nullable=False),
    # Since when it may not be deleted.
    Column("held_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("ready_us", BigInteger),
    # Since when it is in the remote store, and not on local disk any more.
    Column("uploaded_us", BigInteger),
    Column("deleted_us", BigInteger),
    Index(None, "state"),
    Index(None, "session_id"),
    Index(None, "created_us", "id"),
    # What of an application is too old, and what an account has stored, by the index alone.
    Index(None, "app_id", "state", "ready_us", "size_bytes"),
)

# What a store has still to do: at most one thing for a recording, the last one decided.
store_tasks = Table(
    "store_tasks",
    metadata,
    Column("recording_id", String(48), ForeignKey("recordings.id"), primary_key=True),
    Column("kind", String(8), nullable=False),
    # Whose disk has the file.
    Column("node", String(16), nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("next_attempt_us", BigInteger, nullable=False),
    Column("last_error", Text),
    Column("created_us", BigInteger, nullable=False),
    Index(None, "node", "next_attempt_us"),
)

# Who deleted, held, released a recording or revoked its links, when and why.
recording_acts = Table(
    "recording_acts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("recording_id", String(48), ForeignKey("recordings.id"), nullable=False),
    Column("act", String(12), nullable=False),
    Column("done_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Index(None, "recording_id", "at_us"),
)

# One-time links that were used, kept until they would have expired.
used_links = Table(
    "used_links",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("recording_id", String(48), ForeignKey("recordings.id"), nullable=False),
    Column("used_us", BigInteger, nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Index(None, "expires_s"),
)

# The transactional outbox: one row a notification, however many attempts.
notifications = Table(
    "notifications",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("session_id", String(48), ForeignKey("sessions.id"), nullable=False),
    # Counts from 1 within a session; the order in which they leave (decision 2).
    Column("sequence", Integer, nullable=False),
    Column("app_id", String(16), ForeignKey("applications.id"), nullable=False),
    Column("block", String(12), nullable=False),
    Column("url", Text, nullable=False),
    # `host:port` of the URL: what is claimed is shared out among hosts.
    Column("host", Text, nullable=False),
    # Whether its call lives: such a one waits for no others of its host.
    Column("urgent", Boolean, nullable=False),
    # Form-encoded parameters without those of the URL; the same at every attempt.
    Column("parameters", Text, nullable=False),
    # Whether it is kept for days once the call has ended (record, monitor, ended).
    Column("lasting", Boolean, nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempt_count", Integer, nullable=False),
    # How many of them came before an operator had it sent again.
    Column("attempts_before", Integer, nullable=False),
    Column("first_attempt_us", BigInteger),
    Column("next_attempt_us", BigInteger, nullable=False),
    Column("claimed_until_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("settled_us", BigInteger),
    UniqueConstraint("session_id", "sequence"),
    # Finds each waiting host, and what is due first of it, whatever waits for the others.
    Index(None, "state", "host", "urgent", "next_attempt_us"),
    Index(None, "created_us", "id"),
)

# URLs whose servers said that they are gone (410): an application's, exactly as it gave them.
stopped_urls = Table(
    "stopped_urls",
    metadata,
    # Hash of application and URL, since URLs are long.
    Column("id", String(64), primary_key=True),
    Column("app_id", String(16), ForeignKey("applications.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("stopped_us", BigInteger, nullable=False),
)

notification_attempts = Table(
    "notification_attempts",
    metadata,
    Column("notification_id", String(32), ForeignKey("notifications.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_us", BigInteger, nullable=False),
    Column("latency_ms", Integer, nullable=False),
    Column("http_status", Integer),
    Column("error", Text),
    Column("answer", Text),
    # Old ones are forgotten.
    Index(None, "started_us"),
)

# Exactly one row for each leg that was billed; the primary key makes it so.
charges = Table(
    "charges",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("session_id", String(48), ForeignKey("sessions.id"), nullable=False),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    # What an account spent in a day.
    Index(None, "account_id", "created_us"),
)

# What happened in a call beyond what other tables tell: events of about a second, packed by
# `stories.packing`.
story_batches = Table(
    "story_batches",
    metadata,
    Column("session_id", String(48), ForeignKey("sessions.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("written_us", BigInteger, nullable=False),
    Column("n_events", Integer, nullable=False),
    Column("events", LargeBinary, nullable=False),
    # Old ones are forgotten.
    Index(None, "written_us"),
)

# Double entry: a row moves an amount from one book to another, so the books balance by what a
# row is. Triggers (in the migration) refuse to change or delete one.
ledger_entries = Table(
    "ledger_entries",
    metadata,
    # `TRANSACTION/N`: entering a transaction again changes nothing.
    Column("id", String(96), primary_key=True),
    Column("transaction_id", String(88), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("from_book", String(48), nullable=False),
    Column("to_book", String(48), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("note", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    CheckConstraint("amount > 0", name="ck_ledger_entries_amount"),
    Index(None, "account_id", "created_us"),
)

# Ways out and in for calls; see `trunks.model.Trunk`.
trunks = Table(
    "trunks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("address", Text, nullable=False),
    Column("username", Text),
    Column("sealed_password", LargeBinary),
    Column("key_id", String(16)),
    Column("register", Boolean, nullable=False),
    # Lists with commas; empty for none.
    Column("prefixes", Text, nullable=False),
    Column("sources", Text, nullable=False),
    Column("country", String(2)),
    Column("number_format", String(12), nullable=False),
    Column("dialled_in", String(16), nullable=False),
    Column("caller_in", String(12), nullable=False),
    Column("dtmf", String(12), nullable=False),
    Column("disabled_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
)

# People who sign in to the console; see `users.model`.
users = Table(
    "users",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(12), nullable=False),
    Column("account_id", String(32), ForeignKey("accounts.id")),
    Column("password_hash", Text),
    Column("failed_count", Integer, nullable=False),
    Column("locked_until_us", BigInteger),
    Column("disabled_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("lookup", LargeBinary(32), primary_key=True),
    Column("user_id", String(32), ForeignKey("users.id"), nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Index(None, "user_id"),
)

# Browsers that are signed in.
visits = Table(
    "visits",
    metadata,
    Column("lookup", LargeBinary(32), primary_key=True),
    Column("user_id", String(32), ForeignKey("users.id"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Index(None, "user_id"),
    Index(None, "seen_us"),
)

# How each node's registrations stand; see `trunks.model.TrunkRegistration`. A trunk that is
# removed leaves its row until its node writes anew.
trunk_registrations = Table(
    "trunk_registrations",
    metadata,
    Column("node", String(32), primary_key=True),
    Column("trunk_id", String(32), primary_key=True),
    Column("state", String(12), nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("until_us", BigInteger),
)
