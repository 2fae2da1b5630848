-- no-transaction
-- What has ended, by how and when: for looking at dead jobs and for clearing away done ones.
CREATE INDEX CONCURRENTLY jobs_ended_idx ON jobs (outcome, finished_at, id) WHERE finished_at IS NOT NULL;
