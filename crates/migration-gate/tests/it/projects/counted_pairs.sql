-- ==> migrations/0001_initial_setup.up.sql
CREATE TYPE job_state AS ENUM ('queued', 'running', 'done');
CREATE TABLE jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state job_state NOT NULL DEFAULT 'queued', payload jsonb NOT NULL DEFAULT '{}');
-- ==> migrations/0001_initial_setup.down.sql
DROP TABLE jobs;
DROP TYPE job_state;
-- ==> migrations/0003_attempts.up.sql
ALTER TABLE jobs ADD COLUMN attempts smallint NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN error varchar(100);
-- ==> migrations/0003_attempts.down.sql
ALTER TABLE jobs DROP COLUMN error;
ALTER TABLE jobs DROP COLUMN attempts;
-- ==> migrations/0010_error_is_text.up.sql
ALTER TABLE jobs ALTER COLUMN error TYPE text;
-- ==> migrations/0010_error_is_text.down.sql
ALTER TABLE jobs ALTER COLUMN error TYPE varchar(100);
-- ==> migrations/0011_workers.up.sql
CREATE TABLE IF NOT EXISTS workers (name text PRIMARY KEY, seen_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE jobs ADD COLUMN worker text REFERENCES workers (name);
-- ==> migrations/0011_workers.down.sql
ALTER TABLE jobs DROP COLUMN IF EXISTS worker;
DROP TABLE IF EXISTS workers;
-- ==> migrations/0020_views.up.sql
CREATE OR REPLACE VIEW open_jobs AS SELECT id, state FROM jobs WHERE state <> 'done';
-- ==> migrations/0020_views.down.sql
DROP VIEW open_jobs;
-- ==> migrations/0021_views_with_attempts.up.sql
DROP VIEW open_jobs;
CREATE VIEW open_jobs AS SELECT id, state, attempts FROM jobs WHERE state <> 'done';
-- ==> migrations/0021_views_with_attempts.down.sql
DROP VIEW open_jobs;
CREATE VIEW open_jobs AS SELECT id, state FROM jobs WHERE state <> 'done';
-- ==> query .sqlx claim (text)
UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = $1 WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id, payload
-- ==> query .sqlx open (int4)
SELECT id, state as "state: _" FROM open_jobs LIMIT $1
