-- What proves a release, and in which order environments come.

-- Nullable without a default: nothing is rewritten, and the code that runs beside this one does not notice.
ALTER TABLE releases
    ADD COLUMN signing_key_id text,
    ADD COLUMN evidence text;

-- What is there already is looked at by the next migration, which holds nobody up.
ALTER TABLE releases
    ADD CONSTRAINT releases_signing_key_id_is_sha256 CHECK (signing_key_id ~ '^[0-9a-f]{64}$') NOT VALID,
    ADD CONSTRAINT releases_evidence_is_short CHECK (length(evidence) BETWEEN 1 AND 2048) NOT VALID;

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

-- A release's images are recorded with it, in its transaction: no image joins it later.
CREATE FUNCTION release_images_refuse_later() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM public.releases
        WHERE id = NEW.release_id AND xmin <> pg_current_xact_id()::xid
    ) THEN
        RAISE EXCEPTION 'release % is recorded: no image can be added to it', NEW.release_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER release_images_come_with_their_release
    BEFORE INSERT ON release_images
    FOR EACH ROW EXECUTE FUNCTION release_images_refuse_later();
