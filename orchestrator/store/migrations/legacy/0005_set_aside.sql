-- The tables of version 4 stay in the file as they are, under names that leave room for those of version 5.
ALTER TABLE schema_info RENAME TO legacy_schema_info;
ALTER TABLE runs RENAME TO legacy_runs;
ALTER TABLE tasks RENAME TO legacy_tasks;
ALTER TABLE task_attempts RENAME TO legacy_task_attempts;
ALTER TABLE external_runs RENAME TO legacy_external_runs;
