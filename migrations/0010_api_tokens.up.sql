-- API tokens of machines. The token itself is nowhere: only what it hashes to.

CREATE TABLE api_tokens (
    id            uuid        PRIMARY KEY,
    -- What the record calls who uses it. Never given twice, so that the record stays unambiguous.
    name          text        NOT NULL UNIQUE
        CONSTRAINT api_tokens_name_is_plain CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    secret_sha256 bytea       NOT NULL UNIQUE
        CONSTRAINT api_tokens_secret_is_hashed CHECK (octet_length(secret_sha256) = 32),
    role          text        NOT NULL
        CONSTRAINT api_tokens_role_is_known CHECK (role IN ('viewer', 'releaser', 'operator')),
    created_by    text        NOT NULL CONSTRAINT api_tokens_created_by_is_said CHECK (created_by <> ''),
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL CONSTRAINT api_tokens_expire_later CHECK (expires_at > created_at),
    -- To within a few minutes: not every use is a write.
    last_used_at  timestamptz,
    revoked_at    timestamptz,
    revoked_by    text,
    CONSTRAINT api_tokens_revocation_is_whole CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

CREATE INDEX api_tokens_newest_idx ON api_tokens (created_at DESC, id DESC);

CREATE FUNCTION api_tokens_refuse_return() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION 'token % is revoked: it stays so', OLD.name
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER api_tokens_revoked_are_final
    BEFORE UPDATE ON api_tokens
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL) EXECUTE FUNCTION api_tokens_refuse_return();

GRANT SELECT, INSERT ON api_tokens TO slipway_app;
GRANT UPDATE (last_used_at, revoked_at, revoked_by) ON api_tokens TO slipway_app;
