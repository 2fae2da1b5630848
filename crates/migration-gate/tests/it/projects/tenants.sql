-- ==> migrations/001_tenants.up.sql
CREATE TABLE tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants, body text NOT NULL);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY notes_of_tenant ON notes USING (tenant_id = current_setting('app.tenant_id', true)::uuid) WITH CHECK (tenant_id = current_setting('app.tenant_id', true)::uuid);
-- ==> migrations/001_tenants.down.sql
DROP TABLE notes;
DROP TABLE tenants;
-- ==> migrations/002_tags.up.sql
CREATE TABLE tags (tenant_id uuid NOT NULL REFERENCES tenants, note_id bigint NOT NULL REFERENCES notes, tag text NOT NULL, PRIMARY KEY (note_id, tag));
ALTER TABLE tags ENABLE ROW LEVEL SECURITY;
CREATE POLICY tags_read ON tags FOR SELECT USING (tenant_id = current_setting('app.tenant_id', true)::uuid);
CREATE POLICY tags_write ON tags FOR ALL USING (tenant_id = current_setting('app.tenant_id', true)::uuid);
-- ==> migrations/002_tags.down.sql
DROP TABLE tags;
-- ==> migrations/003_pinned.up.sql
ALTER TABLE notes ADD COLUMN pinned boolean NOT NULL DEFAULT false;
-- ==> migrations/003_pinned.down.sql
ALTER TABLE notes DROP COLUMN pinned;
-- ==> query .sqlx notes (int8)
SELECT id, body, pinned FROM notes WHERE id = $1
-- ==> query .sqlx note (uuid, text)
INSERT INTO notes (tenant_id, body) VALUES ($1, $2) RETURNING id
