-- What was seen to run, what was asked for and decided, and what is to run.

CREATE TABLE observations (
    id             uuid        PRIMARY KEY,
    environment_id uuid        NOT NULL REFERENCES environments (id),
    release_id     uuid        NOT NULL REFERENCES releases (id),
    healthy        boolean     NOT NULL,
    note           text        CONSTRAINT observations_note_is_short CHECK (length(note) <= 2000),
    observed_by    text        NOT NULL CONSTRAINT observations_observed_by_is_said CHECK (observed_by <> ''),
    observed_at    timestamptz NOT NULL DEFAULT now(),
    -- What a promotion refers to as its proof.
    CONSTRAINT observations_are_proofs UNIQUE (id, environment_id, release_id, healthy)
);

CREATE INDEX observations_newest_idx ON observations (environment_id, observed_at DESC, id DESC);
CREATE INDEX observations_of_release_idx ON observations (release_id, environment_id, observed_at DESC, id DESC);

CREATE TABLE promotions (
    id             uuid        PRIMARY KEY,
    environment_id uuid        NOT NULL REFERENCES environments (id),
    release_id     uuid        NOT NULL REFERENCES releases (id),
    -- Back to a release that was desired here before.
    rollback       boolean     NOT NULL,
    -- The environment was protected when this was asked for.
    needs_approval boolean     NOT NULL,
    -- The environment that had to have run the release, and the observation that says so.
    requires_id    uuid        REFERENCES environments (id),
    proof_id       uuid,
    proof_healthy  boolean     NOT NULL DEFAULT true CONSTRAINT promotions_proof_is_healthy CHECK (proof_healthy),
    state          text        NOT NULL
        CONSTRAINT promotions_state_is_known CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn')),
    asked_by       text        NOT NULL CONSTRAINT promotions_asked_by_is_said CHECK (asked_by <> ''),
    asked_at       timestamptz NOT NULL DEFAULT now(),
    note           text        CONSTRAINT promotions_note_is_short CHECK (length(note) <= 2000),
    decided_by     text        CONSTRAINT promotions_decided_by_is_said CHECK (decided_by <> ''),
    decided_at     timestamptz,
    decision_note  text        CONSTRAINT promotions_decision_note_is_short CHECK (length(decision_note) <= 2000),
    CONSTRAINT promotions_decision_is_whole
        CHECK ((state = 'open') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    -- Four eyes: who asked does not decide.
    CONSTRAINT promotions_are_decided_by_another
        CHECK (state IN ('open', 'withdrawn') OR NOT needs_approval OR decided_by <> asked_by),
    CONSTRAINT promotions_are_proven CHECK (rollback OR requires_id IS NULL OR proof_id IS NOT NULL),
    -- A proof is an observation of this release, healthy, in the required environment.
    CONSTRAINT promotions_proof_fkey FOREIGN KEY (proof_id, requires_id, release_id, proof_healthy)
        REFERENCES observations (id, environment_id, release_id, healthy),
    -- What a desired release refers to.
    CONSTRAINT promotions_are_grounds UNIQUE (id, environment_id, release_id, state)
);

CREATE UNIQUE INDEX promotions_one_open_idx ON promotions (environment_id) WHERE state = 'open';
CREATE INDEX promotions_newest_idx ON promotions (environment_id, asked_at DESC, id DESC);
CREATE INDEX promotions_release_idx ON promotions (release_id);
CREATE INDEX promotions_requires_idx ON promotions (requires_id) WHERE requires_id IS NOT NULL;
CREATE INDEX promotions_proof_idx ON promotions (proof_id) WHERE proof_id IS NOT NULL;

CREATE FUNCTION promotions_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION 'promotion % is decided: it does not change', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER promotions_decided_are_final
    BEFORE UPDATE ON promotions
    FOR EACH ROW WHEN (OLD.state <> 'open') EXECUTE FUNCTION promotions_refuse_change();

-- What was to run in an environment; the greatest generation is what is to run now.
CREATE TABLE desired_releases (
    environment_id  uuid        NOT NULL,
    generation      bigint      NOT NULL CONSTRAINT desired_releases_generation_counts CHECK (generation > 0),
    release_id      uuid        NOT NULL REFERENCES releases (id),
    promotion_id    uuid        NOT NULL CONSTRAINT desired_releases_promotion_counts_once UNIQUE,
    promotion_state text        NOT NULL DEFAULT 'approved'
        CONSTRAINT desired_releases_are_approved CHECK (promotion_state = 'approved'),
    set_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment_id, generation),
    -- Nothing becomes desired but by an approved promotion of this release to this environment.
    CONSTRAINT desired_releases_promotion_fkey FOREIGN KEY (promotion_id, environment_id, release_id, promotion_state)
        REFERENCES promotions (id, environment_id, release_id, state)
);

CREATE INDEX desired_releases_release_idx ON desired_releases (release_id, environment_id);

-- What is recorded stays: of a promotion only the decision is written later, and once.
GRANT SELECT, INSERT ON observations, promotions, desired_releases TO slipway_app;
GRANT UPDATE (state, decided_by, decided_at, decision_note) ON promotions TO slipway_app;
