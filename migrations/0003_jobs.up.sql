-- Leased jobs: taken with FOR UPDATE SKIP LOCKED, for a time that the database's clock measures.

-- One sequence for all jobs: of two holders, whatever jobs they hold, the later one has the higher token.
CREATE SEQUENCE job_fencing_tokens AS bigint;

CREATE TABLE jobs (
    id               uuid        PRIMARY KEY,
    kind             text        NOT NULL
        CONSTRAINT jobs_kind_is_plain CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    payload          jsonb       NOT NULL DEFAULT '{}'
        CONSTRAINT jobs_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    request_id       text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    run_after        timestamptz NOT NULL DEFAULT now(),
    -- Counted when the lease is taken, so that a job which kills its worker does not run for ever.
    attempts         integer     NOT NULL DEFAULT 0 CONSTRAINT jobs_attempts_are_counted CHECK (attempts >= 0),
    max_attempts     integer     NOT NULL DEFAULT 5 CONSTRAINT jobs_may_be_tried CHECK (max_attempts > 0),
    lease_holder     text,
    lease_expires_at timestamptz,
    -- The token of the newest lease: whoever shows an older one has been replaced and is refused.
    fencing_token    bigint      NOT NULL DEFAULT 0,
    finished_at      timestamptz,
    outcome          text        CONSTRAINT jobs_outcome_is_known CHECK (outcome IN ('succeeded', 'failed')),
    last_error       text,
    CONSTRAINT jobs_lease_is_whole CHECK ((lease_holder IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT jobs_end_is_whole CHECK ((finished_at IS NULL) = (outcome IS NULL)),
    CONSTRAINT jobs_finished_is_free CHECK (finished_at IS NULL OR lease_holder IS NULL)
);

-- Finished jobs stay as the record; looking for the next one never walks over them.
CREATE INDEX jobs_due_idx ON jobs (run_after, id) WHERE finished_at IS NULL;

GRANT USAGE ON SEQUENCE job_fencing_tokens TO slipway_app;
GRANT SELECT, INSERT, UPDATE ON jobs TO slipway_app;
