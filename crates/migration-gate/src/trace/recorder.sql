-- Records what each statement of a migration does to the tables that production has. A superuser's, in a copy of the
-- database that is thrown away. The schema's name is one that PostgreSQL keeps for itself, so that a migration which
-- goes over all schemas passes over it.
SET allow_system_table_mods = on;
CREATE SCHEMA pg_migration_gate;
RESET allow_system_table_mods;
SET search_path = pg_migration_gate, pg_catalog;

-- The tables and materialized views that are there before the first pending migration.
CREATE TABLE existing (relation oid PRIMARY KEY, name text NOT NULL, filenode oid);
INSERT INTO existing
SELECT c.oid, c.oid::regclass::text, pg_relation_filenode(c.oid)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- sqlx's own ledger, which every migration writes.
CREATE TABLE ledger (relation oid PRIMARY KEY);

-- In the order of events. `statement` is set where a statement of the file ends.
CREATE TABLE log (
    n         bigint GENERATED ALWAYS AS IDENTITY,
    what      text    NOT NULL,
    statement integer,
    tag       text,
    object    text,
    relation  oid,
    reason    integer,
    state     jsonb
);

-- Every table that this transaction has locked: in which modes, how often it was walked, how many rows were written.
-- Rows of a relation that has other files than before were copied into them, unless there are none.
CREATE FUNCTION state() RETURNS jsonb LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT jsonb_agg(jsonb_build_object(
        'relation', c.oid::int8,
        'name', c.oid::regclass::text,
        'existing', e.relation IS NOT NULL,
        'modes', held.modes,
        'walks', pg_stat_get_xact_numscans(c.oid),
        'lookups', (
            SELECT COALESCE(sum(pg_stat_get_xact_numscans(i.indexrelid)), 0)::int8
            FROM pg_index AS i WHERE i.indrelid = c.oid
        ),
        'inserted', pg_stat_get_xact_tuples_inserted(c.oid),
        'changed', pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid),
        'rewritten', COALESCE(pg_relation_filenode(c.oid) <> e.filenode AND pg_relation_size(c.oid) > 0, false),
        -- TRUNCATE walks nothing but the new files.
        'emptied', COALESCE(pg_relation_filenode(c.oid) <> e.filenode AND pg_relation_size(c.oid) = 0, false)
    ))
    FROM (
        SELECT l.relation, jsonb_agg(DISTINCT l.mode) AS modes
        FROM pg_locks AS l
        WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
            AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
        GROUP BY l.relation
    ) AS held
    JOIN pg_class AS c ON c.oid = held.relation AND c.relkind IN ('r', 'p', 'm')
    JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
    LEFT JOIN pg_migration_gate.existing AS e ON e.relation = c.oid
    WHERE c.oid NOT IN (SELECT g.relation FROM pg_migration_gate.ledger AS g)
$$;

-- Stands behind a statement.
CREATE FUNCTION mark(statement integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
BEGIN
    INSERT INTO pg_migration_gate.log (what, statement, tag, object, relation, reason, state)
    VALUES ('mark', mark.statement, NULL, NULL, NULL, NULL, pg_migration_gate.state());
END
$$;

-- sqlx records a migration right before it commits, when everything that the file locked is still held.
CREATE FUNCTION at_end() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
BEGIN
    INSERT INTO pg_migration_gate.log (what, statement, tag, object, relation, reason, state)
    VALUES ('end', NULL, NULL, NULL, NULL, NULL, pg_migration_gate.state());
    -- A session counts on until it reports: the next migration begins at nothing.
    PERFORM pg_stat_force_next_flush();
    RETURN NULL;
END
$$;

CREATE FUNCTION at_ddl() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
DECLARE
    command record;
    altered oid;
BEGIN
    -- What an extension brings is told by its name.
    FOR command IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE NOT in_extension LOOP
        altered := CASE command.classid
            WHEN 'pg_class'::regclass THEN COALESCE(
                (SELECT i.indrelid FROM pg_index AS i WHERE i.indexrelid = command.objid), command.objid)
            WHEN 'pg_trigger'::regclass THEN (SELECT t.tgrelid FROM pg_trigger AS t WHERE t.oid = command.objid)
            WHEN 'pg_constraint'::regclass THEN (SELECT c.conrelid FROM pg_constraint AS c WHERE c.oid = command.objid)
        END;
        INSERT INTO pg_migration_gate.log (what, statement, tag, object, relation, reason, state)
        VALUES ('ddl', NULL, command.command_tag, command.object_identity, altered, NULL, pg_migration_gate.state());
    END LOOP;
END
$$;

CREATE FUNCTION at_drop() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
BEGIN
    -- `normal`: it was no part of what was dropped, it only depended on it.
    INSERT INTO pg_migration_gate.log (what, statement, tag, object, relation, reason, state)
    SELECT CASE WHEN d.original THEN 'drop' ELSE 'collateral' END,
        NULL, d.object_type, d.object_identity, d.objid, NULL, NULL
    FROM pg_event_trigger_dropped_objects() AS d
    WHERE (d.original OR d.normal) AND NOT d.is_temporary
        AND d.object_type NOT IN ('type', 'rule', 'index', 'default value', 'sequence', 'toast table');
END
$$;

CREATE FUNCTION at_rewrite() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
BEGIN
    INSERT INTO pg_migration_gate.log (what, statement, tag, object, relation, reason, state)
    VALUES ('rewrite', NULL, TG_TAG, NULL, pg_event_trigger_table_rewrite_oid(),
        pg_event_trigger_table_rewrite_reason(), NULL);
END
$$;

GRANT USAGE ON SCHEMA pg_migration_gate TO PUBLIC;
CREATE EVENT TRIGGER migration_gate_ddl ON ddl_command_end EXECUTE FUNCTION at_ddl();
CREATE EVENT TRIGGER migration_gate_drop ON sql_drop EXECUTE FUNCTION at_drop();
CREATE EVENT TRIGGER migration_gate_rewrite ON table_rewrite EXECUTE FUNCTION at_rewrite();
