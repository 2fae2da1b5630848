-- Drops all jobs, finished or not.

DROP TABLE jobs;
DROP SEQUENCE job_fencing_tokens;
