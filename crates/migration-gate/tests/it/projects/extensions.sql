-- ==> migrations/1_extensions.sql
CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS btree_gist;
COMMENT ON EXTENSION citext IS 'names compare without case';
-- ==> migrations/2_rooms.sql
CREATE TABLE rooms (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), name citext NOT NULL UNIQUE, token bytea NOT NULL DEFAULT gen_random_bytes(16));
CREATE TABLE bookings (room uuid NOT NULL REFERENCES rooms, during tstzrange NOT NULL, EXCLUDE USING gist (room WITH =, during WITH &&));
-- ==> migrations/3_search.sql
-- no-transaction
CREATE INDEX CONCURRENTLY rooms_name_trgm_idx ON rooms USING gin ((name::text) gin_trgm_ops);
-- ==> migrations/4_ltree.sql
CREATE EXTENSION ltree;
ALTER TABLE rooms ADD COLUMN place ltree;
-- ==> query .sqlx search (text)
SELECT id, name FROM rooms WHERE name::text % $1
-- ==> query .sqlx book (uuid, tstzrange)
INSERT INTO bookings (room, during) VALUES ($1, $2)
