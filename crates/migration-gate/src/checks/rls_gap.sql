-- Tables: how row security stands between them and the roles. $1 is the services' role, $2 the one that owns what
-- migrations make, $3 the ledger of migrations.
WITH
members AS (
    SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
),
tables AS (
    SELECT
        'table ' || CASE s.nspname WHEN 'public' THEN '' ELSE quote_ident(s.nspname) || '.' END || quote_ident(c.relname) AS object,
        c.oid, c.relnamespace, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.relispartition,
        has_table_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
            OR has_any_column_privilege($1, c.oid, 'SELECT, INSERT, UPDATE') AS in_use
    FROM pg_class AS c
    JOIN pg_namespace AS s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relname <> $3
        AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_class'::regclass AND objid = c.oid)
),
-- What policies look at, such as the tenant.
telling AS (
    SELECT DISTINCT t.relnamespace, a.attname
    FROM pg_depend AS d
    JOIN pg_policy AS p ON p.oid = d.objid AND p.polrelid = d.refobjid
    JOIN tables AS t ON t.oid = p.polrelid
    JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
)
SELECT
    t.object,
    t.relrowsecurity AND t.in_use
        AND NOT app.rolsuper AND NOT app.rolbypassrls
        AND (t.relforcerowsecurity OR NOT pg_has_role(app.oid, t.relowner, 'USAGE'))
        AND NOT EXISTS (
            SELECT FROM pg_policy AS p
            WHERE p.polrelid = t.oid AND p.polpermissive
                AND EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_has_role(app.oid, r, 'USAGE'))
        ) AS locked_out,
    t.relrowsecurity AND t.relforcerowsecurity
        AND NOT maker.rolsuper AND NOT maker.rolbypassrls AND pg_has_role(maker.oid, t.relowner, 'USAGE')
        AND NOT EXISTS (
            SELECT FROM pg_policy AS p
            WHERE p.polrelid = t.oid AND p.polpermissive
                AND EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_has_role(maker.oid, r, 'USAGE'))
        ) AS forced_on_maker,
    NOT t.relrowsecurity AND t.in_use AND NOT t.relispartition
        AND (SELECT count(*) >= 2 AND bool_and(o.relrowsecurity)
            FROM tables AS o WHERE o.relnamespace = t.relnamespace AND o.oid <> t.oid AND NOT o.relispartition)
        -- The table of the tenants themselves, or of what all of them look up, has no row that is somebody's.
        AND (NOT EXISTS (SELECT FROM telling AS p WHERE p.relnamespace = t.relnamespace)
            OR EXISTS (SELECT FROM telling AS p JOIN pg_attribute AS a ON a.attname = p.attname
                WHERE p.relnamespace = t.relnamespace AND a.attrelid = t.oid AND NOT a.attisdropped)
            OR EXISTS (SELECT FROM pg_constraint AS f JOIN tables AS o ON o.oid = f.confrelid AND o.relrowsecurity
                WHERE f.conrelid = t.oid AND f.contype = 'f')) AS only_open_one
FROM tables AS t
CROSS JOIN (SELECT oid, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = $1) AS app
CROSS JOIN (SELECT oid, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = $2) AS maker
