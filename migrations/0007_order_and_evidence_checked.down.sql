-- The same rules, as if the rows had not been looked at.

ALTER TABLE environments
    DROP CONSTRAINT environments_requires_another,
    DROP CONSTRAINT environments_requires_id_fkey;
ALTER TABLE environments
    ADD CONSTRAINT environments_requires_id_fkey FOREIGN KEY (requires_id) REFERENCES environments (id) NOT VALID,
    ADD CONSTRAINT environments_requires_another CHECK (requires_id <> id) NOT VALID;
ALTER TABLE releases
    DROP CONSTRAINT releases_evidence_is_short,
    DROP CONSTRAINT releases_signing_key_id_is_sha256;
ALTER TABLE releases
    ADD CONSTRAINT releases_signing_key_id_is_sha256 CHECK (signing_key_id ~ '^[0-9a-f]{64}$') NOT VALID,
    ADD CONSTRAINT releases_evidence_is_short CHECK (length(evidence) BETWEEN 1 AND 2048) NOT VALID;
