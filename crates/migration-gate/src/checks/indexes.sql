-- Indexes that queries can use, with what they are of.
SELECT n.nspname::text, c.relname::text, regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', 'USING '), x.relname::text
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indisvalid AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
