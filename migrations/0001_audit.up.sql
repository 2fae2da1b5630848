-- The append-only record of who did what. Made by the owner: neither the deployer nor a service may alter it.

CREATE TABLE audit_entries (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    -- Who: a person, or a service and its instance.
    actor      text        NOT NULL CONSTRAINT audit_entries_actor_is_said CHECK (actor <> ''),
    -- What, as noun and past participle: `release.recorded`.
    action     text        NOT NULL
        CONSTRAINT audit_entries_action_is_dotted CHECK (action ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
    -- To what: `release/0190…`. Text, because the record outlives what it speaks of.
    subject    text        NOT NULL CONSTRAINT audit_entries_subject_is_said CHECK (subject <> ''),
    request_id text,
    details    jsonb       NOT NULL DEFAULT '{}'
        CONSTRAINT audit_entries_details_is_object CHECK (jsonb_typeof(details) = 'object')
);

CREATE INDEX audit_entries_subject_idx ON audit_entries (subject, id);

CREATE FUNCTION audit_entries_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- The grants below already refuse it to every service; this refuses it to the owner's slips too.
CREATE TRIGGER audit_entries_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_refuse_change();

GRANT SELECT, INSERT ON audit_entries TO slipway_app;

-- The owner's first run made the ledger of migrations; the deployer writes it from now on.
GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO slipway_deployer;
