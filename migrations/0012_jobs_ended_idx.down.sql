-- no-transaction
DROP INDEX CONCURRENTLY jobs_ended_idx;
