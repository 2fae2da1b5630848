-- ==> prelude.sql
-- Roles belong to the server, and other databases on it may have made it.
DO $$
BEGIN
    LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'hub_reader') THEN
        CREATE ROLE hub_reader;
    END IF;
END
$$;
-- ==> migrations/20200101000000_roles.sql
DO
$do$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'hub_reader') THEN
        CREATE ROLE hub_reader;
    END IF;
END
$do$;
-- ==> migrations/20200102000000_repos.sql
CREATE TABLE repos (id serial PRIMARY KEY, url text NOT NULL);
GRANT SELECT ON repos TO hub_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO hub_reader;
-- ==> query .sqlx repos ()
SELECT id, url FROM repos
