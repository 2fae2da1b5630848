-- What tells whether a relation or a routine has changed since the last look: the transactions that wrote its rows.
-- $1 is the ledger of migrations, which is left out.
WITH
members AS MATERIALIZED (
    SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
),
spaces AS MATERIALIZED (
    SELECT oid FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_namespace'::regclass AND objid = pg_namespace.oid)
),
-- Rows of what the server itself came with have lower numbers.
written (relation, mark) AS (
    SELECT oid, hashtext(xmin::text) FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL SELECT attrelid, hashtext(xmin::text) FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0
    UNION ALL SELECT adrelid, hashtext(xmin::text) FROM pg_attrdef
    UNION ALL SELECT conrelid, hashtext(xmin::text) FROM pg_constraint WHERE conrelid >= 16384
    UNION ALL SELECT x.indrelid, hashtext(concat(x.xmin, ' ', i.xmin)) FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
        WHERE x.indrelid >= 16384
    UNION ALL SELECT tgrelid, hashtext(xmin::text) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT ev_class, hashtext(xmin::text) FROM pg_rewrite WHERE ev_class >= 16384
    UNION ALL SELECT polrelid, hashtext(xmin::text) FROM pg_policy
    UNION ALL SELECT inhrelid, hashtext(xmin::text) FROM pg_inherits
    UNION ALL SELECT ftrelid, hashtext(xmin::text) FROM pg_foreign_table
    UNION ALL SELECT objoid, hashtext(xmin::text) FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid >= 16384
    -- Comments on indexes are facts of their tables.
    UNION ALL SELECT x.indrelid, hashtext(d.xmin::text) FROM pg_description AS d JOIN pg_index AS x ON x.indexrelid = d.objoid
        WHERE d.classoid = 'pg_class'::regclass AND d.objoid >= 16384
),
marks AS MATERIALIZED (SELECT relation, sum(mark) + count(*) AS mark FROM written GROUP BY relation)
SELECT 'r' AS class, c.oid::int8, m.mark::int8, concat(c.relnamespace, ' ', c.relname) AS name
FROM marks AS m
JOIN pg_class AS c ON c.oid = m.relation
JOIN spaces AS s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> $1
    AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_class'::regclass AND objid = c.oid)
UNION ALL SELECT 'f', p.oid::int8, hashtext(concat(p.xmin, ' ', d.xmin))::int8, concat(p.pronamespace, ' ', p.proname)
FROM pg_proc AS p
JOIN spaces AS s ON s.oid = p.pronamespace
LEFT JOIN pg_description AS d ON d.classoid = 'pg_proc'::regclass AND d.objoid = p.oid
WHERE NOT EXISTS (SELECT FROM members WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
    -- A range type brings its own functions.
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'i')
-- What others may speak of by name.
UNION ALL SELECT 't', t.oid::int8, 0, concat(t.typnamespace, ' ', t.typname)
FROM pg_type AS t
JOIN spaces AS s ON s.oid = t.typnamespace
WHERE t.typrelid = 0 AND t.typcategory <> 'A'
UNION ALL SELECT 'n', oid::int8, 0, nspname::text FROM pg_namespace WHERE oid >= 16384
