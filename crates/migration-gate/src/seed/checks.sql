-- Conditions on columns: checks of the table, of a column's domain, and the bounds of a partition.
SELECT k.conrelid::int8,
    ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)),
    pg_get_expr(k.conbin, k.conrelid)
FROM pg_migration_gate.existing AS e
JOIN pg_constraint AS k ON k.conrelid = e.relation AND k.contype = 'c' AND k.conkey IS NOT NULL
UNION ALL
SELECT a.attrelid::int8, ARRAY[a.attname::text],
    regexp_replace(pg_get_expr(k.conbin, 0), '\mVALUE\M', quote_ident(a.attname), 'g')
FROM pg_migration_gate.existing AS e
JOIN pg_attribute AS a ON a.attrelid = e.relation AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_constraint AS k ON k.contypid = a.atttypid AND k.contype = 'c'
UNION ALL
SELECT c.oid::int8,
    ARRAY(
        SELECT a.attname::text FROM pg_partitioned_table AS p
        JOIN pg_inherits AS i ON i.inhparent = p.partrelid AND i.inhrelid = c.oid
        JOIN pg_attribute AS t ON t.attrelid = p.partrelid AND t.attnum = ANY (p.partattrs::int2[])
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = t.attname
    ),
    pg_get_partition_constraintdef(c.oid)
FROM pg_migration_gate.existing AS e
JOIN pg_class AS c ON c.oid = e.relation AND c.relispartition AND c.relkind = 'r'
WHERE pg_get_partition_constraintdef(c.oid) IS NOT NULL
