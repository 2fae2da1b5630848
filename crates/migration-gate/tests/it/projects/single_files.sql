-- ==> migrations/20210314092653_users.sql
-- A dump of what the first years made by hand.
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;

CREATE TABLE users (
    user_id uuid NOT NULL DEFAULT uuid_generate_v4(),
    handle character varying(64) NOT NULL,
    secret text DEFAULT encode(gen_random_bytes(8), 'hex') NOT NULL,
    joined_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);
CREATE SEQUENCE sessions_id_seq AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1;
CREATE TABLE sessions (
    id integer NOT NULL,
    user_id uuid NOT NULL,
    last_seen_at timestamptz
);
ALTER SEQUENCE sessions_id_seq OWNED BY sessions.id;
ALTER TABLE ONLY sessions ALTER COLUMN id SET DEFAULT nextval('sessions_id_seq'::regclass);
ALTER TABLE ONLY users ADD CONSTRAINT users_pkey PRIMARY KEY (user_id);
ALTER TABLE ONLY users ADD CONSTRAINT users_handle_key UNIQUE (handle);
ALTER TABLE ONLY sessions ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY sessions ADD CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users (user_id);
-- ==> migrations/20210402110000_emails.sql
CREATE TABLE emails (
    id bigserial PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    address text NOT NULL,
    confirmed_at timestamptz
);
CREATE UNIQUE INDEX emails_address_idx ON emails (lower(address));
COMMENT ON TABLE emails IS 'one person, many addresses';
-- ==> migrations/20220901080000_primary_email.sql
ALTER TABLE users ADD COLUMN primary_email_id bigint REFERENCES emails (id);
-- ==> migrations/20230117140530_lock_users.sql
ALTER TABLE users ADD COLUMN locked_at timestamp with time zone;
-- ==> migrations/20240220000000_users_lower_handle_idx.sql
-- no-transaction
CREATE UNIQUE INDEX CONCURRENTLY
    users_lower_handle_idx ON users (lower(handle));
-- ==> migrations/20240220000001_drop_users_handle_key.sql
ALTER TABLE users DROP CONSTRAINT IF EXISTS users_handle_key;
-- ==> query .sqlx list_users (uuid)
SELECT user_id, handle FROM users WHERE user_id = $1
-- ==> query .sqlx add_email (uuid, text)
INSERT INTO emails (user_id, address) VALUES ($1, $2) RETURNING id
