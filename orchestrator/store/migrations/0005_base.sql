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
    -- 0 for the steps, 1 for what follows a failure, 2 for what is done last.
    phase INTEGER NOT NULL DEFAULT 0,
    definition_sha256 TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT NOT NULL DEFAULT '',
    attempt_count INTEGER NOT NULL DEFAULT 0,
    -- So many of the attempts were made before the task was asked for again; their failures count no more.
    forgiven INTEGER NOT NULL DEFAULT 0,
    -- Of the tasks of a fan-out: the task that was expanded into them, the number and name of the item, and the item.
    parent INTEGER REFERENCES tasks (position),
    item_index INTEGER,
    item_id TEXT,
    item_json TEXT,
    -- Of a task that uses another recipe: the inputs of that.
    inputs_json TEXT,
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
    -- NULL for the values that a run begins with.
    task_position INTEGER REFERENCES tasks (position),
    seq INTEGER NOT NULL
) STRICT;

-- The present values: of each key the write of the last task in plan order, whenever it was made. What the tasks of a
-- fan-out wrote is collected by the task that they come from.
CREATE VIEW context (key, value_json, who, attempt_id, task_position, seq) AS
    SELECT key, value_json, who, attempt_id, task_position, seq FROM (
        SELECT history.*, row_number() OVER (PARTITION BY key ORDER BY phase DESC, task_position DESC, number DESC) AS nth
        FROM context_history AS history LEFT JOIN tasks ON position = task_position
        WHERE rolled_back = 0 AND parent IS NULL
    ) WHERE nth = 1 AND value_json IS NOT NULL;

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
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    heartbeat_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
