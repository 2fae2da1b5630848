-- Gives everything in the database that one role owns, or that anybody owns, to another one, as if that had made it; what
-- extensions have made stays.
DO $gate$
DECLARE
    new_owner CONSTANT oid := (SELECT oid FROM pg_roles WHERE rolname = current_setting('gate.new_owner'));
    old_owner CONSTANT text := current_setting('gate.old_owner');
    statement text;
BEGIN
    SET LOCAL search_path = pg_catalog;
    -- The project's own event triggers have nothing to say to this.
    SET LOCAL session_replication_role = replica;
    FOR statement IN
        WITH spaces AS (
            SELECT oid, nspowner FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ),
        owned (class, object, kind, name, owner) AS (
            SELECT 'pg_namespace'::regclass, oid, 'SCHEMA', oid::regnamespace::text, nspowner FROM spaces
                -- Whoever owns the database owns what this role owns.
                WHERE nspowner <> 'pg_database_owner'::regrole
            UNION ALL SELECT 'pg_class'::regclass, c.oid,
                CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                c.oid::regclass::text, c.relowner
            FROM pg_class AS c JOIN spaces AS s ON s.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                -- A column's sequence follows its table.
                AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
            UNION ALL SELECT 'pg_proc'::regclass, p.oid, 'ROUTINE', p.oid::regprocedure::text, p.proowner
            FROM pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace
            UNION ALL SELECT 'pg_type'::regclass, t.oid, 'TYPE', t.oid::regtype::text, t.typowner
            FROM pg_type AS t JOIN spaces AS s ON s.oid = t.typnamespace LEFT JOIN pg_class AS c ON c.oid = t.typrelid
            WHERE (t.typrelid = 0 OR c.relkind = 'c') AND t.typtype <> 'm' AND t.typcategory <> 'A'
            UNION ALL SELECT 'pg_statistic_ext'::regclass, x.oid, 'STATISTICS', x.stxnamespace::regnamespace::text || '.' || quote_ident(x.stxname), x.stxowner
            FROM pg_statistic_ext AS x
            UNION ALL SELECT 'pg_database'::regclass, d.oid, 'DATABASE', quote_ident(d.datname), d.datdba
            FROM pg_database AS d WHERE d.datname = current_database()
        )
        SELECT format('ALTER %s %s OWNER TO %s', kind, name, new_owner::regrole)
        FROM owned
        WHERE owner <> new_owner AND old_owner IN ('', pg_get_userbyid(owner)::text) AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = owned.class AND d.objid = owned.object AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$gate$
