-- Functions that run with the rights of their owner, and what is odd about each.
SELECT
    CASE p.prokind WHEN 'p' THEN 'procedure ' ELSE 'function ' END
        || CASE s.nspname WHEN 'public' THEN '' ELSE quote_ident(s.nspname) || '.' END
        || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS object,
    -- The body of a function in the standard's form is bound to its objects when it is made.
    p.prosqlbody IS NULL
        AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'search_path=%') AS has_open_path,
    p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
        AND EXISTS (
            SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS given
            WHERE given.grantee = 0 AND given.privilege_type = 'EXECUTE'
        ) AS is_public
FROM pg_proc AS p
JOIN pg_namespace AS s ON s.oid = p.pronamespace
WHERE p.prosecdef AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'
