-- Everything in one database that migrations make: each object with its facts, as aspect and value.
-- $1 and $2 are the relations and the routines to read, the rest is read whole.
-- Asked with `search_path = pg_catalog`, so that every name but the server's own comes with its schema.
WITH
members AS MATERIALIZED (
    SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
),
spaces AS MATERIALIZED (
    SELECT oid, nspname, nspowner, nspacl, CASE nspname WHEN 'public' THEN '' ELSE quote_ident(nspname) || '.' END AS prefix
    FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_namespace'::regclass AND objid = pg_namespace.oid)
),
relations AS MATERIALIZED (
    SELECT
        CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END
            || s.prefix || quote_ident(c.relname) AS object,
        c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.relpersistence,
        c.reloptions, c.relreplident, c.relispartition, c.relpartbound, c.reltablespace
    FROM pg_class AS c
    JOIN spaces AS s ON s.oid = c.relnamespace
    WHERE c.oid = ANY (($1::int8[])::oid[])
),
routines AS MATERIALIZED (
    SELECT
        CASE p.prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END
            || s.prefix || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS object,
        p.oid, p.prokind, p.proowner, p.proacl
    FROM pg_proc AS p
    JOIN spaces AS s ON s.oid = p.pronamespace
    WHERE p.oid = ANY (($2::int8[])::oid[])
),
types AS MATERIALIZED (
    SELECT
        CASE t.typtype WHEN 'd' THEN 'domain ' ELSE 'type ' END || s.prefix || quote_ident(t.typname) AS object,
        t.oid, t.typtype, t.typowner, t.typacl, t.typrelid, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault, t.typcollation
    FROM pg_type AS t
    JOIN spaces AS s ON s.oid = t.typnamespace
    LEFT JOIN pg_class AS c ON c.oid = t.typrelid
    -- Neither the row types of relations, nor arrays and multiranges, which come with another type.
    WHERE (t.typrelid = 0 OR c.relkind = 'c') AND t.typtype <> 'm' AND t.typcategory <> 'A'
        AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_type'::regclass AND objid = t.oid)
),
sequences AS MATERIALIZED (
    SELECT 'sequence ' || s.prefix || quote_ident(c.relname) AS object, c.oid, c.relowner, c.relacl
    FROM pg_class AS c
    JOIN spaces AS s ON s.oid = c.relnamespace
    WHERE c.relkind = 'S' AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_class'::regclass AND objid = c.oid)
),
facts (object, aspect, value) AS (
    SELECT 'schema ' || quote_ident(nspname), 'owner', pg_get_userbyid(nspowner)::text FROM spaces
    UNION ALL SELECT 'schema ' || quote_ident(nspname), 'rights', array_to_string(coalesce(nspacl, acldefault('n', nspowner))::text[], chr(29)) FROM spaces
    UNION ALL SELECT 'schema ' || quote_ident(nspname), 'comment', obj_description(oid, 'pg_namespace') FROM spaces

    UNION ALL SELECT object, '#', 'r' || oid::text FROM relations
    UNION ALL SELECT object, 'owner', pg_get_userbyid(relowner)::text FROM relations
    UNION ALL SELECT object, 'rights', array_to_string(coalesce(relacl, acldefault('r', relowner))::text[], chr(29)) FROM relations
    UNION ALL SELECT object, 'row security', CASE WHEN relforcerowsecurity THEN 'forced' ELSE 'enabled' END
        FROM relations WHERE relrowsecurity OR relforcerowsecurity
    UNION ALL SELECT object, 'persistence', CASE relpersistence WHEN 'u' THEN 'unlogged' ELSE 'temporary' END
        FROM relations WHERE relpersistence <> 'p'
    UNION ALL SELECT object, 'options', array_to_string(reloptions, ', ') FROM relations WHERE reloptions IS NOT NULL
    UNION ALL SELECT object, 'replica identity', CASE relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' ELSE 'an index' END
        FROM relations WHERE relreplident <> 'd' AND relkind IN ('r', 'p', 'm')
    UNION ALL SELECT object, 'tablespace', (SELECT spcname::text FROM pg_tablespace WHERE oid = reltablespace)
        FROM relations WHERE reltablespace <> 0
    UNION ALL SELECT object, 'definition', pg_get_viewdef(oid) FROM relations WHERE relkind IN ('v', 'm')
    UNION ALL SELECT object, 'partitioned', pg_get_partkeydef(oid) FROM relations WHERE relkind = 'p'
    UNION ALL SELECT r.object, CASE WHEN r.relispartition THEN 'partition of ' ELSE 'child of ' END || i.inhparent::regclass::text,
            coalesce(pg_get_expr(r.relpartbound, r.oid), 'inherits')
        FROM pg_inherits AS i JOIN relations AS r ON r.oid = i.inhrelid
    UNION ALL SELECT r.object, 'foreign', f.ftserver::text || ' ' || coalesce(array_to_string(f.ftoptions, ', '), '')
        FROM pg_foreign_table AS f JOIN relations AS r ON r.oid = f.ftrelid

    UNION ALL SELECT r.object, 'column ' || quote_ident(a.attname),
            concat_ws(' ',
                format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN 'COLLATE ' || a.attcollation::regcollation::text END,
                CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY' WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
                CASE a.attgenerated WHEN 's' THEN 'GENERATED ALWAYS AS (' WHEN 'v' THEN 'GENERATED VIRTUAL AS (' ELSE 'DEFAULT ' END
                    || replace(pg_get_expr(d.adbin, d.adrelid), 'CURRENT_TIMESTAMP', 'now()')
                    || CASE WHEN a.attgenerated = '' THEN '' ELSE ')' END,
                CASE WHEN a.attstorage <> t.typstorage THEN 'STORAGE ' || a.attstorage::text END,
                CASE WHEN a.attstattarget > 0 THEN 'STATISTICS ' || a.attstattarget END,
                -- Later servers count a column's changes in an option of their own (`pg_attver`), which no migration sets.
                (SELECT 'WITH (' || string_agg(option, ', ') || ')'
                 FROM unnest(a.attoptions) AS option WHERE option NOT LIKE 'pg\_%'))
        FROM relations AS r
        JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum
        WHERE r.relkind IN ('r', 'p', 'f')
    UNION ALL SELECT r.object, '#' || quote_ident(a.attname), a.attnum::text
        FROM relations AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT r.object, 'rights on column ' || quote_ident(a.attname), array_to_string(a.attacl::text[], chr(29))
        FROM relations AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE a.attacl IS NOT NULL
    UNION ALL SELECT r.object,
            CASE d.objsubid WHEN 0 THEN 'comment' ELSE 'comment on column '
                || quote_ident((SELECT attname FROM pg_attribute WHERE attrelid = r.oid AND attnum = d.objsubid)) END,
            d.description
        FROM relations AS r JOIN pg_description AS d ON d.classoid = 'pg_class'::regclass AND d.objoid = r.oid

    UNION ALL SELECT r.object, 'constraint ' || quote_ident(c.conname), pg_get_constraintdef(c.oid)
        FROM relations AS r JOIN pg_constraint AS c ON c.conrelid = r.oid
        WHERE c.contype <> 't'
    UNION ALL SELECT t.object, 'constraint ' || quote_ident(c.conname), pg_get_constraintdef(c.oid)
        FROM types AS t JOIN pg_constraint AS c ON c.contypid = t.oid
    UNION ALL SELECT r.object, 'index ' || quote_ident(i.relname) || part.suffix, part.value
        FROM relations AS r
        JOIN pg_index AS x ON x.indrelid = r.oid
        JOIN pg_class AS i ON i.oid = x.indexrelid
        CROSS JOIN LATERAL (
            -- What a constraint stands on is told by the constraint.
            SELECT '' AS suffix, pg_get_indexdef(x.indexrelid) AS value
                WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x') AND c.conrelid = r.oid)
            UNION ALL SELECT ': valid', CASE WHEN i.relkind = 'I' THEN 'not on every partition' ELSE 'no' END WHERE NOT x.indisvalid
            UNION ALL SELECT ': clustered', 'yes' WHERE x.indisclustered
            UNION ALL SELECT ': replica identity', 'yes' WHERE x.indisreplident
            UNION ALL SELECT ': comment', obj_description(i.oid, 'pg_class')
        ) AS part
    UNION ALL SELECT r.object, 'trigger ' || quote_ident(t.tgname),
            pg_get_triggerdef(t.oid) || CASE t.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' (disabled)' ELSE ' (' || t.tgenabled::text || ')' END
        FROM pg_trigger AS t JOIN relations AS r ON r.oid = t.tgrelid
        WHERE NOT t.tgisinternal
    UNION ALL SELECT r.object, 'rule ' || quote_ident(w.rulename), pg_get_ruledef(w.oid)
        FROM pg_rewrite AS w JOIN relations AS r ON r.oid = w.ev_class
        WHERE w.rulename <> '_RETURN'
    UNION ALL SELECT r.object, 'policy ' || quote_ident(p.polname),
            concat_ws(' ',
                CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                CASE p.polcmd WHEN 'r' THEN 'FOR SELECT' WHEN 'a' THEN 'FOR INSERT' WHEN 'w' THEN 'FOR UPDATE' WHEN 'd' THEN 'FOR DELETE' ELSE 'FOR ALL' END,
                'TO', (SELECT string_agg(CASE o WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(o)::text END, ', ' ORDER BY o) FROM unnest(p.polroles) AS o),
                'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
        FROM pg_policy AS p JOIN relations AS r ON r.oid = p.polrelid

    UNION ALL SELECT object, '#', 'f' || oid::text FROM routines
    UNION ALL SELECT object, 'definition', CASE prokind WHEN 'a' THEN NULL ELSE pg_get_functiondef(oid) END FROM routines
    UNION ALL SELECT r.object, 'definition',
            concat_ws(' ', a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggtranstype::regtype, a.agginitval, a.aggkind)
        FROM routines AS r JOIN pg_aggregate AS a ON a.aggfnoid = r.oid
    UNION ALL SELECT object, 'owner', pg_get_userbyid(proowner)::text FROM routines
    UNION ALL SELECT object, 'rights', array_to_string(coalesce(proacl, acldefault('f', proowner))::text[], chr(29)) FROM routines
    UNION ALL SELECT object, 'comment', obj_description(oid, 'pg_proc') FROM routines

    UNION ALL SELECT object, 'owner', pg_get_userbyid(typowner)::text FROM types
    UNION ALL SELECT object, 'rights', array_to_string(coalesce(typacl, acldefault('T', typowner))::text[], chr(29)) FROM types
    UNION ALL SELECT object, 'comment', obj_description(oid, 'pg_type') FROM types
    UNION ALL SELECT t.object, 'labels', string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
        FROM types AS t JOIN pg_enum AS e ON e.enumtypid = t.oid GROUP BY t.object
    UNION ALL SELECT object, 'definition',
            concat_ws(' ', format_type(typbasetype, typtypmod), CASE WHEN typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || typdefault,
                CASE WHEN typcollation <> 0 THEN 'COLLATE ' || typcollation::regcollation::text END)
        FROM types WHERE typtype = 'd'
    UNION ALL SELECT t.object, 'attributes',
            string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
        FROM types AS t JOIN pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE t.typtype = 'c' GROUP BY t.object
    UNION ALL SELECT t.object, 'definition', 'a range of ' || r.rngsubtype::regtype::text
        FROM types AS t JOIN pg_range AS r ON r.rngtypid = t.oid

    UNION ALL SELECT s.object, 'definition',
            concat_ws(' ', q.seqtypid::regtype, 'START', q.seqstart, 'INCREMENT', q.seqincrement, 'MINVALUE', q.seqmin, 'MAXVALUE', q.seqmax,
                'CACHE', q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' END)
        FROM sequences AS s JOIN pg_sequence AS q ON q.seqrelid = s.oid
    UNION ALL SELECT object, 'owner', pg_get_userbyid(relowner)::text FROM sequences
    UNION ALL SELECT object, 'rights', array_to_string(coalesce(relacl, acldefault('s', relowner))::text[], chr(29)) FROM sequences
    UNION ALL SELECT object, 'comment', obj_description(oid, 'pg_class') FROM sequences
    UNION ALL SELECT s.object, 'owned by', p.prefix || quote_ident(c.relname) || '.' || quote_ident(a.attname)
        FROM sequences AS s
        JOIN pg_depend AS d
            ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        JOIN pg_class AS c ON c.oid = d.refobjid
        JOIN spaces AS p ON p.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid

    UNION ALL SELECT 'extension ' || quote_ident(extname), '', 'in schema ' || extnamespace::regnamespace::text
        FROM pg_extension WHERE extname <> 'plpgsql'
    UNION ALL SELECT 'extension ' || quote_ident(extname), 'version', extversion FROM pg_extension WHERE extname <> 'plpgsql'
    UNION ALL SELECT
            concat_ws(' ', 'default rights of', quote_ident(pg_get_userbyid(d.defaclrole)), 'in schema ' || d.defaclnamespace::regnamespace::text),
            CASE d.defaclobjtype WHEN 'r' THEN 'tables: ' WHEN 'S' THEN 'sequences: ' WHEN 'f' THEN 'functions: ' WHEN 'T' THEN 'types: ' ELSE 'schemas: ' END
                || 'rights',
            array_to_string(d.defaclacl::text[], chr(29))
        FROM pg_default_acl AS d
        WHERE d.defaclnamespace = 0 OR EXISTS (SELECT FROM spaces WHERE spaces.oid = d.defaclnamespace)
    UNION ALL SELECT 'publication ' || quote_ident(pubname), '',
            concat_ws(' ', CASE WHEN puballtables THEN 'all tables' END, CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
                CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END)
        FROM pg_publication
    UNION ALL SELECT 'publication ' || quote_ident(pubname), 'table ' || quote_ident(schemaname) || '.' || quote_ident(tablename), 'published'
        FROM pg_publication_tables
    UNION ALL SELECT 'event trigger ' || quote_ident(e.evtname), '',
            concat_ws(' ', e.evtevent, e.evtfoid::regproc, array_to_string(e.evttags, ','), e.evtenabled)
        FROM pg_event_trigger AS e
        WHERE NOT EXISTS (SELECT FROM members WHERE classid = 'pg_event_trigger'::regclass AND objid = e.oid)
            AND EXISTS (SELECT FROM pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace WHERE p.oid = e.evtfoid)
    UNION ALL SELECT 'statistics ' || stxnamespace::regnamespace::text || '.' || quote_ident(stxname), '', pg_get_statisticsobjdef(oid)
        FROM pg_statistic_ext

    -- What migrations seldom make is only asked whether it is there.
    UNION ALL SELECT pg_describe_object(classid, oid, 0), '', 'there'
        FROM (
            SELECT 'pg_operator'::regclass AS classid, oid FROM pg_operator
            UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass
            UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily
            UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation
            UNION ALL SELECT 'pg_cast'::regclass, oid FROM pg_cast
            UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion
            UNION ALL SELECT 'pg_language'::regclass, oid FROM pg_language
            UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config
            UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict
            UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper
            UNION ALL SELECT 'pg_foreign_server'::regclass, oid FROM pg_foreign_server
        ) AS rare
        -- Below this the server's own objects are numbered.
        WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM members WHERE members.classid = rare.classid AND members.objid = rare.oid)
    UNION ALL SELECT 'comment on ' || pg_describe_object(d.classoid, d.objoid, 0), '', d.description
        FROM pg_description AS d
        WHERE d.objoid >= 16384 AND d.classoid IN ('pg_constraint'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_rewrite'::regclass)

    UNION ALL SELECT 'the database', 'owner', pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT 'the database', 'rights', array_to_string(coalesce(datacl, acldefault('d', datdba))::text[], chr(29))
        FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT 'the database', 'settings of ' || CASE setrole WHEN 0 THEN 'everyone' ELSE pg_get_userbyid(setrole)::text END,
            array_to_string(setconfig, ', ')
        FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT object, string_agg(aspect || chr(31) || value, chr(30) ORDER BY aspect COLLATE "C")
FROM facts
WHERE value IS NOT NULL
GROUP BY object
