-- Times are RFC 3339 in UTC with three decimals, so that they sort as text. JSON is JSON text.

-- The jobs, in the order of their making. Secrets are sealed: they read `sealed:…`.
CREATE TABLE jobs (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    workspace   TEXT NOT NULL,
    name        TEXT,
    status      TEXT NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'cancelled', 'failed')),
    reason      TEXT,
    problem     TEXT,
    spec        TEXT NOT NULL,
    upload      TEXT,
    retry_of    TEXT,
    total       INTEGER,
    counters    TEXT NOT NULL,
    parts       TEXT NOT NULL DEFAULT '[]',
    output      TEXT NOT NULL DEFAULT 'kept' CHECK (output IN ('kept', 'erasing', 'erased')),
    created_at  TEXT NOT NULL,
    started_at  TEXT,
    finished_at TEXT,
    expires_at  TEXT,
    lease_owner TEXT,
    lease_token INTEGER NOT NULL DEFAULT 0,
    lease_until TEXT
) STRICT;
CREATE INDEX jobs_of_workspace ON jobs (workspace, number);
CREATE INDEX jobs_by_status ON jobs (workspace, status, number);
CREATE INDEX jobs_by_name ON jobs (workspace, name, number) WHERE name IS NOT NULL;
CREATE INDEX jobs_open ON jobs (number) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_of_upload ON jobs (upload) WHERE upload IS NOT NULL;
CREATE INDEX jobs_of_retry ON jobs (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE output != 'erased';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE output = 'erased';

-- The lists that came with their job.
CREATE TABLE inline_urls (
    job  INTEGER PRIMARY KEY REFERENCES jobs (number) ON DELETE CASCADE,
    urls TEXT NOT NULL
) STRICT;

-- How each job goes on after a crash.
CREATE TABLE checkpoints (
    job        INTEGER PRIMARY KEY REFERENCES jobs (number) ON DELETE CASCADE,
    checkpoint TEXT NOT NULL
) STRICT;

-- The failed tasks, in the input's format: what a retry starts from.
CREATE TABLE errored (
    job       INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    code      TEXT NOT NULL,
    retryable INTEGER NOT NULL,
    task      TEXT NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
    id         TEXT PRIMARY KEY,
    workspace  TEXT NOT NULL,
    format     TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    total      INTEGER NOT NULL,
    invalid    INTEGER NOT NULL,
    errors     TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    state      TEXT NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'erasing')),
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX uploads_expiring ON uploads (expires_at);

-- What happened, as it is told: one row for each job that has ended.
CREATE TABLE events (
    id         TEXT PRIMARY KEY,
    job        TEXT NOT NULL UNIQUE,
    workspace  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_time ON events (created_at);

CREATE TABLE deliveries (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    event           TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    workspace       TEXT NOT NULL,
    host            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    attempts_before INTEGER NOT NULL DEFAULT 0,
    next_at         TEXT,
    http_status     INTEGER,
    error           TEXT,
    created_at      TEXT NOT NULL,
    attempted_at    TEXT
) STRICT;
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE state = 'pending';
CREATE INDEX deliveries_of_workspace ON deliveries (workspace, number);
CREATE INDEX deliveries_of_event ON deliveries (event);

CREATE TABLE workspaces (
    name             TEXT PRIMARY KEY,
    secret           BLOB NOT NULL,
    old_secret       BLOB,
    old_secret_until TEXT,
    external_id      TEXT NOT NULL,
    created_at       TEXT NOT NULL
) STRICT;

-- Keys by their hashes; the keys themselves are nowhere.
CREATE TABLE keys (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    workspace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;

-- Requests that carry a key of their own, and what was answered.
CREATE TABLE idempotency (
    workspace   TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    owner       TEXT NOT NULL,
    begun_at    TEXT NOT NULL,
    status      INTEGER,
    body        TEXT,
    location    TEXT,
    PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_time ON idempotency (begun_at);
