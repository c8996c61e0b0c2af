-- One file holds one run. Times are UTC, ISO-8601 with Z. Texts named *_json hold JSON.
CREATE TABLE schema_info (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    workspace_slug TEXT NOT NULL,
    recipe_name TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    ended_at TEXT,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the run was started with: recipe and input hashes, arguments, versions.
CREATE TABLE run_inputs (
    name TEXT PRIMARY KEY,
    value_json TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    position INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE,
    step TEXT NOT NULL,
    definition_sha256 TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT NOT NULL DEFAULT '',
    attempt_count INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL
) STRICT;

-- No index beyond the key: each would cost every step a page in its commit.
CREATE TABLE task_attempts (
    attempt_id TEXT NOT NULL,
    task_position INTEGER NOT NULL REFERENCES tasks (position),
    attempt_index INTEGER NOT NULL,
    status TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',
    status_reason TEXT NOT NULL DEFAULT '',
    operator_key TEXT,
    operator_type TEXT,
    external_id TEXT,
    operator_data_json TEXT NOT NULL DEFAULT '{}',
    relative_path TEXT,
    params_json TEXT NOT NULL DEFAULT '{}',
    envelope_json TEXT,
    exit_code INTEGER,
    stdout TEXT NOT NULL DEFAULT '',
    stderr TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    submitted_at TEXT,
    ended_at TEXT,
    duration_sec REAL,
    cpu_sec REAL,
    max_rss_mb REAL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (task_position, attempt_index)
) STRICT, WITHOUT ROWID;

-- Every write in order; value_json is NULL where the key was deleted.
CREATE TABLE context_history (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    value_json TEXT,
    who TEXT NOT NULL,
    attempt_id TEXT,
    rolled_back INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL
) STRICT;

-- The present values: of each key its newest write. SQLite takes the other columns from the row with the maximum.
CREATE VIEW context (key, value_json, who, attempt_id, seq, number) AS
    SELECT key, value_json, who, attempt_id, seq, max(number) FROM context_history WHERE rolled_back = 0
    GROUP BY key HAVING value_json IS NOT NULL;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at_utc TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload_json TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    fence INTEGER NOT NULL,
    runner_id TEXT NOT NULL,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    heartbeat_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
