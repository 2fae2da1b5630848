-- What proves a release.

-- Nullable without a default: nothing is rewritten, and the code that runs beside this one does not notice.
ALTER TABLE releases
    ADD COLUMN signing_key_id text,
    ADD COLUMN evidence text;

-- What is there already is looked at by a later migration, which holds nobody up.
ALTER TABLE releases
    ADD CONSTRAINT releases_signing_key_id_is_sha256 CHECK (signing_key_id ~ '^[0-9a-f]{64}$') NOT VALID,
    ADD CONSTRAINT releases_evidence_is_short CHECK (length(evidence) BETWEEN 1 AND 2048) NOT VALID;

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
