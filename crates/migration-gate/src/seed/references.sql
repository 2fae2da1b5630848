-- Foreign keys, with the columns of both sides in the order of the key.
SELECT k.conrelid::int8,
    ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (num, place)
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.place),
    format('%I.%I', n.nspname, c.relname),
    k.confrelid::int8,
    ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (num, place)
        JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.place)
FROM pg_migration_gate.existing AS e
JOIN pg_constraint AS k ON k.conrelid = e.relation AND k.contype = 'f'
JOIN pg_class AS c ON c.oid = k.confrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY k.conrelid, k.oid
