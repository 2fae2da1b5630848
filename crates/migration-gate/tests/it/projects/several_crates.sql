-- ==> migrations/1_start.sql
CREATE TABLE members (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE mails (id bigserial PRIMARY KEY, member int NOT NULL REFERENCES members, sent_at timestamptz);
-- ==> migrations/2_mail_kind.sql
ALTER TABLE mails ADD COLUMN kind text NOT NULL DEFAULT 'news';
-- ==> query .sqlx members ()
SELECT id, name FROM members
-- ==> query crates/mailer/.sqlx pick (int8)
SELECT id, kind FROM mails WHERE sent_at IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
-- ==> query crates/mailer/.sqlx sent (int8)
UPDATE mails SET sent_at = now() WHERE id = $1
-- ==> query crates/web/.sqlx join (int4, text)
INSERT INTO members (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name
