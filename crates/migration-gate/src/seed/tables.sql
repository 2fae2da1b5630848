-- Tables that hold rows themselves, and belong to the project.
SELECT c.oid::int8, format('%I.%I', n.nspname, c.relname)
FROM pg_migration_gate.existing AS e
JOIN pg_class AS c ON c.oid = e.relation AND c.relkind = 'r'
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT EXISTS (
    SELECT FROM pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
)
ORDER BY c.oid
