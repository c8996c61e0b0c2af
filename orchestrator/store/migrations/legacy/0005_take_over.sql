-- Fill the tables of version 5 from those of version 4. All rows belong to the first event of the history.
INSERT INTO runs (run_id, workspace_slug, recipe_name, status, status_reason, created_at, ended_at, seq)
SELECT
    run_id,
    workspace_slug,
    'main.py',
    CASE WHEN status IN ('RUNNING', 'PAUSED', 'COMPLETED', 'FAILED', 'CANCELLED') THEN status ELSE 'PENDING' END,
    coalesce(status_reason, ''),
    legacy_time(created_at),
    CASE WHEN status IN ('COMPLETED', 'FAILED', 'CANCELLED')
        THEN legacy_time((SELECT max(ended_at) FROM legacy_task_attempts)) END,
    1
FROM legacy_runs;

INSERT INTO run_inputs (name, value_json)
SELECT 'legacy', json_object(
    'version', CAST((SELECT value FROM legacy_schema_info WHERE key = 'original_version') AS INTEGER),
    'root_path', root_path,
    'tags', json(legacy_object(tags)),
    'description', description
) FROM legacy_runs;

INSERT INTO tasks (position, task_id, step, definition_sha256, status, seq)
SELECT
    row_number() OVER (ORDER BY rowid) - 1,
    task_id,
    task_id,
    '',
    CASE WHEN status IN ('BLOCKED', 'RUNNING', 'WAITING_EXTERNAL', 'COMPLETED', 'FAILED', 'SKIPPED', 'CANCELLED')
        THEN status ELSE 'PENDING' END,
    1
FROM legacy_tasks;

-- Attempts outlive a task that was deleted; they are kept below one that says so.
INSERT INTO tasks (position, task_id, step, definition_sha256, status, status_reason, seq)
SELECT
    (SELECT count(*) FROM legacy_tasks) + row_number() OVER (ORDER BY min(rowid)) - 1,
    task_id,
    task_id,
    '',
    'CANCELLED',
    'the task was deleted, its attempts were not',
    1
FROM legacy_task_attempts WHERE task_id NOT IN (SELECT task_id FROM legacy_tasks) GROUP BY task_id;

INSERT INTO task_attempts (attempt_id, task_position, attempt_index, status, status_reason, operator_key, operator_type,
    external_id, operator_data_json, relative_path, created_at, submitted_at, seq)
SELECT
    attempt_id,
    position,
    attempt_index,
    CASE WHEN attempts.status IN ('CREATED', 'SUBMITTING', 'SUBMITTED', 'QUEUED', 'RUNNING', 'WAITING_EXTERNAL', 'MISSING',
        'COLLECTING', 'COMPLETED', 'FAILED', 'FAILED_INIT', 'CANCELLED', 'TIMEOUT', 'LOST')
        THEN attempts.status ELSE 'UNKNOWN' END,
    coalesce(nullif(attempts.status_reason, ''), json_extract(legacy_object(operator_data), '$.error'), ''),
    legacy_operator_key(operator_key, operator_data, operator_type),
    operator_type,
    external_id,
    legacy_object(operator_data),
    relative_path,
    legacy_time(coalesce(attempts.created_at, (SELECT created_at FROM legacy_runs))),
    legacy_time(submitted_at),
    1
FROM legacy_task_attempts AS attempts JOIN tasks USING (task_id);

-- Where an attempt has ended and no time of that was kept, the last time that is known of it stands.
UPDATE task_attempts SET
    ended_at = coalesce(legacy_time(ended.ended_at), task_attempts.submitted_at, task_attempts.created_at),
    duration_sec = max(0, round(86400 * (
        julianday(ended.ended_at) - julianday(coalesce(ended.submitted_at, ended.created_at))), 3))
FROM legacy_task_attempts AS ended
WHERE ended.attempt_id = task_attempts.attempt_id
    AND task_attempts.status IN ('COMPLETED', 'FAILED', 'FAILED_INIT', 'CANCELLED', 'TIMEOUT', 'LOST');

UPDATE tasks SET attempt_count = coalesce(
    (SELECT max(attempt_index) FROM task_attempts WHERE task_position = position), 0);

-- In a run that has ended, a task stands where its last attempt stands, as its evidence always said.
UPDATE tasks SET
    status = CASE attempt.status WHEN 'COMPLETED' THEN 'COMPLETED' WHEN 'CANCELLED' THEN 'CANCELLED' ELSE 'FAILED' END,
    status_reason = 'the task was recorded as ' || tasks.status
FROM task_attempts AS attempt
WHERE task_position = position AND attempt_index = attempt_count AND attempt.ended_at IS NOT NULL
    AND tasks.status IN ('PENDING', 'BLOCKED', 'RUNNING', 'WAITING_EXTERNAL')
    AND (SELECT status FROM runs) IN ('COMPLETED', 'FAILED', 'CANCELLED');

UPDATE tasks SET status_reason = coalesce(
    (SELECT nullif(status_reason, '') FROM task_attempts WHERE task_position = position AND attempt_index = attempt_count),
    'no reason was recorded') || CASE status_reason WHEN '' THEN '' ELSE '; ' || status_reason END
WHERE status = 'FAILED';
