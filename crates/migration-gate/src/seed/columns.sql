-- Columns that take a value, with the type under all domains: a value is tried before a domain sees it.
WITH RECURSIVE base AS (
    SELECT t.oid AS type, t.oid AS base, t.typbasetype AS below, t.typnotnull AS required FROM pg_type AS t
    UNION ALL
    SELECT b.type, t.oid, t.typbasetype, b.required OR t.typnotnull
    FROM base AS b JOIN pg_type AS t ON t.oid = b.below
)
SELECT
    a.attrelid::int8,
    a.attname::text,
    CASE WHEN a.atttypid = t.oid THEN format_type(a.atttypid, a.atttypmod) ELSE format_type(t.oid, NULL) END,
    t.typname::text,
    ARRAY(SELECT l.enumlabel::text FROM pg_enum AS l WHERE t.typtype = 'e' AND l.enumtypid = t.oid ORDER BY l.enumsortorder),
    (SELECT i.typname::text FROM pg_type AS i WHERE i.oid = t.typelem AND t.typcategory = 'A'),
    a.attnotnull OR b.required,
    CASE WHEN a.attidentity = '' AND pg_get_expr(d.adbin, d.adrelid) !~ 'nextval'
        THEN format('(%s)::%s', pg_get_expr(d.adbin, d.adrelid), format_type(t.oid, NULL)) END
FROM pg_migration_gate.existing AS e
JOIN pg_attribute AS a ON a.attrelid = e.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
JOIN base AS b ON b.type = a.atttypid AND b.below = 0
JOIN pg_type AS t ON t.oid = b.base
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
ORDER BY a.attrelid, a.attnum
