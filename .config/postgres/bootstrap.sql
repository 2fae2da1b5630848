-- What a database administrator does once, as a superuser, connected to the empty application database.
--
-- Three roles share the work: `slipway_owner` made what production began with, `slipway_deployer` applies
-- migrations since, `slipway_app` is what services run as. None is a superuser and none may become another.
-- Passwords are not set here: give them with `ALTER ROLE … PASSWORD`, or use another authentication method.
--
-- May be run again at any time. It is one statement, hence one transaction, however it is sent.
DO $bootstrap$
DECLARE
    role_name text;
BEGIN
    -- Roles belong to the whole cluster: two databases that are set up at once must not race for them.
    LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;

    FOREACH role_name IN ARRAY ARRAY['slipway_owner', 'slipway_deployer', 'slipway_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I', role_name);
        END IF;
        EXECUTE format(
            'ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role_name);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
    END LOOP;

    EXECUTE format('ALTER DATABASE %I OWNER TO slipway_owner', current_database());

    -- Clusters that began before PostgreSQL 15 let everyone create in `public`.
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT USAGE, CREATE ON SCHEMA public TO slipway_owner, slipway_deployer;
    GRANT USAGE ON SCHEMA public TO slipway_app;

    -- A migration that waits for a lock makes every later query wait behind it: it gives up instead.
    ALTER ROLE slipway_owner SET lock_timeout = '5s';
    ALTER ROLE slipway_deployer SET lock_timeout = '5s';
    -- A service that died in the middle of a transaction must not hold its locks for ever.
    ALTER ROLE slipway_app SET idle_in_transaction_session_timeout = '60s';
    ALTER ROLE slipway_app SET lock_timeout = '10s';
END
$bootstrap$;
