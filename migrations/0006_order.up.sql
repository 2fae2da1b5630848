-- In which order environments come. What is there already is looked at by the next migration.

ALTER TABLE environments
    -- What is asked for in a protected environment is decided by another person.
    ADD COLUMN protected boolean NOT NULL DEFAULT false,
    -- The environment that must have run a release before it may come here.
    ADD COLUMN requires_id uuid,
    -- Grows with every change: who changes an environment says which revision was seen.
    ADD COLUMN revision bigint NOT NULL DEFAULT 1;

ALTER TABLE environments
    ADD CONSTRAINT environments_requires_id_fkey FOREIGN KEY (requires_id) REFERENCES environments (id) NOT VALID,
    ADD CONSTRAINT environments_requires_another CHECK (requires_id <> id) NOT VALID;

GRANT UPDATE (protected, requires_id, revision) ON environments TO slipway_app;
