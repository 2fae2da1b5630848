-- Looks at the rows that the rules of the two migrations before this one found; reads and writes go on meanwhile.

ALTER TABLE releases VALIDATE CONSTRAINT releases_signing_key_id_is_sha256;
ALTER TABLE releases VALIDATE CONSTRAINT releases_evidence_is_short;
ALTER TABLE environments VALIDATE CONSTRAINT environments_requires_id_fkey;
ALTER TABLE environments VALIDATE CONSTRAINT environments_requires_another;
