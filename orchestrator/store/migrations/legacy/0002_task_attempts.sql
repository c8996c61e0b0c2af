-- A task may have more than one attempt. The one that version 1 kept of a task becomes its first.
CREATE TABLE IF NOT EXISTS task_attempts (
    attempt_id VARCHAR NOT NULL,
    task_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    attempt_index INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    operator_type VARCHAR,
    external_id VARCHAR,
    operator_data JSON NOT NULL,
    relative_path VARCHAR,
    created_at DATETIME,
    submitted_at DATETIME,
    ended_at DATETIME,
    status_reason TEXT,
    PRIMARY KEY (attempt_id),
    CONSTRAINT uq_task_attempts_task_index UNIQUE (task_id, attempt_index),
    FOREIGN KEY (task_id) REFERENCES tasks (task_id),
    FOREIGN KEY (run_id) REFERENCES runs (run_id)
);
CREATE INDEX IF NOT EXISTS ix_task_attempts_run_id ON task_attempts (run_id);
CREATE INDEX IF NOT EXISTS ix_task_attempts_run_id_status ON task_attempts (run_id, status);
CREATE INDEX IF NOT EXISTS ix_task_attempts_task_id ON task_attempts (task_id);

INSERT OR IGNORE INTO task_attempts
    (attempt_id, task_id, run_id, attempt_index, status, operator_type, external_id, operator_data, relative_path, created_at)
SELECT legacy_attempt_id(run_id, task_id), task_id, run_id, 1, status, operator_type, external_id, operator_data, relative_path,
    (SELECT created_at FROM runs WHERE runs.run_id = external_runs.run_id)
FROM external_runs;

UPDATE tasks SET current_attempt_id = (
    SELECT attempt_id FROM task_attempts WHERE task_attempts.task_id = tasks.task_id ORDER BY attempt_index DESC LIMIT 1
) WHERE current_attempt_id IS NULL;
