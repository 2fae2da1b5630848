-- Foreign keys whose rows are looked for without an index: none begins with one of their columns.
SELECT n.nspname::text, c.relname::text, k.conname::text, a.attname::text, m.nspname::text, p.relname::text
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS p ON p.oid = k.confrelid
JOIN pg_namespace AS m ON m.oid = p.relnamespace
JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
WHERE k.contype = 'f' AND k.conparentid = 0
    AND NOT EXISTS (
        SELECT FROM pg_index AS i WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indkey[0] = ANY (k.conkey)
    )
