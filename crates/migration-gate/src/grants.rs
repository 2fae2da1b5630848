//! Which rights a refused query lacks: found by granting them in a transaction that is rolled back, and trying again.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, Row as _};

use crate::{
    bench::Bench,
    error::Error,
    project::Roles,
    queries::Query,
    refusal::Refusal,
    target::{identifier, lost},
};

/// A query that needs more rights than this is given up.
const MOST_OBJECTS: usize = 50;

/// Something that rights can be granted on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object {
    /// As in `GRANT … ON TABLE`.
    pub(crate) kind: String,
    /// As SQL spells it, with its schema.
    pub(crate) name: String,
    /// Who may grant.
    pub(crate) owner: String,
    /// Who lacks the right.
    pub(crate) grantee: String,
}

/// One right, on an object or one of its columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grant {
    pub(crate) object: Object,
    pub(crate) privilege: String,
    pub(crate) column: Option<String>,
}

/// What would let a query pass.
#[derive(Debug)]
pub(crate) struct Advice {
    pub(crate) grants: Vec<Grant>,
    /// What the server says even then.
    pub(crate) remains: Option<Refusal>,
}

/// The rights that `query` lacks when `refusal` is what `role` hears.
pub(crate) async fn missing(
    advisor: &mut Bench,
    query: &Query,
    refusal: &Refusal,
    roles: &Roles,
) -> Result<Advice, Error> {
    let mut grants: Vec<Grant> = Vec::new();
    let mut heard = refusal.clone();
    for _ in 0..MOST_OBJECTS {
        let mut found = false;
        for grantee in [&query.role, &roles.deployer, &roles.owner] {
            let candidates = candidates(advisor.connection(), &heard, grantee).await?;
            if candidates.is_empty() || candidates.iter().all(|it| grants.contains(it)) {
                continue;
            }
            let with_all: Vec<Grant> = grants.iter().chain(&candidates).cloned().collect();
            let next = hears(advisor, query, &with_all).await?;
            if next.as_ref().is_some_and(|it| it.is_same_as(&heard)) {
                continue;
            }
            grants = without_needless(advisor, query, with_all, grants.len(), &next).await?;
            match next {
                None => return Ok(Advice { grants, remains: None }),
                Some(next) => heard = next,
            }
            found = true;
            break;
        }
        if !found {
            break;
        }
    }
    Ok(Advice { grants, remains: Some(heard) })
}

/// Takes away each grant after the first `kept` that changes nothing.
async fn without_needless(
    advisor: &mut Bench,
    query: &Query,
    mut grants: Vec<Grant>,
    kept: usize,
    heard: &Option<Refusal>,
) -> Result<Vec<Grant>, Error> {
    let mut at = kept;
    while at < grants.len() {
        let mut fewer = grants.clone();
        fewer.remove(at);
        let now = hears(advisor, query, &fewer).await?;
        let same = match (&now, heard) {
            (Some(now), Some(heard)) => now.is_same_as(heard),
            (now, heard) => now.is_none() && heard.is_none(),
        };
        if same {
            grants = fewer;
        } else {
            at += 1;
        }
    }
    Ok(grants)
}

async fn hears(advisor: &mut Bench, query: &Query, grants: &[Grant]) -> Result<Option<Refusal>, Error> {
    advisor.act_as(&query.role, &statements(grants));
    let trial = advisor.attempt(query).await;
    advisor.act_as(&query.role, &[]);
    Ok(trial?.failure)
}

/// One statement for each object.
pub(crate) fn statements(grants: &[Grant]) -> Vec<String> {
    let mut objects: BTreeMap<&Object, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for grant in grants {
        let columns = objects.entry(&grant.object).or_default().entry(&grant.privilege).or_default();
        columns.extend(grant.column.as_deref());
    }
    let statement = |(object, privileges): (&Object, BTreeMap<&str, BTreeSet<&str>>)| {
        let mut privileges: Vec<_> = privileges.into_iter().collect();
        let order = ["SELECT", "INSERT", "UPDATE", "DELETE", "USAGE"];
        privileges.sort_by_key(|(name, _)| order.iter().position(|it| it == name).unwrap_or(order.len()));
        let privileges: Vec<String> = privileges
            .into_iter()
            .map(|(privilege, columns)| {
                let columns: Vec<&str> = columns.into_iter().collect();
                if columns.is_empty() {
                    privilege.into()
                } else {
                    format!("{privilege} ({})", columns.join(", "))
                }
            })
            .collect();
        let Object { kind, name, grantee, .. } = object;
        format!("GRANT {} ON {kind} {name} TO {}", privileges.join(", "), spelled(grantee))
    };
    objects.into_iter().map(statement).collect()
}

/// `name` as people write it: quoted only where it has to be.
fn spelled(name: &str) -> String {
    let plain = name.starts_with(|it: char| it.is_ascii_lowercase() || it == '_')
        && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_');
    if plain { name.into() } else { identifier(name) }
}

/// What could be lacking, the likelier last: the first that proves needless goes first.
const ON_RELATIONS: &str = "
    SELECT 'TABLE', format('%I.%I', n.nspname, c.relname), pg_get_userbyid(c.relowner)::text, p.privilege,
        quote_ident(a.attname)
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN unnest(ARRAY['TRUNCATE', 'DELETE', 'UPDATE', 'INSERT', 'SELECT']) AS p (privilege)
    -- Where columns have been granted, columns are what is missing.
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND p.privilege IN ('UPDATE', 'INSERT', 'SELECT') AND has_any_column_privilege($2, c.oid, p.privilege)
    WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        AND NOT has_table_privilege($2, c.oid, p.privilege)
        AND (a.attnum IS NULL OR NOT has_column_privilege($2, c.oid, a.attnum, p.privilege))";

const ON_SEQUENCES: &str = "
    SELECT 'SEQUENCE', format('%I.%I', n.nspname, c.relname), pg_get_userbyid(c.relowner)::text, p.privilege, NULL
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN unnest(ARRAY['UPDATE', 'SELECT', 'USAGE']) AS p (privilege)
    WHERE c.relname = $1 AND c.relkind = 'S' AND NOT has_sequence_privilege($2, c.oid, p.privilege)";

const ON_SCHEMAS: &str = "
    SELECT 'SCHEMA', quote_ident(n.nspname), pg_get_userbyid(n.nspowner)::text, p.privilege, NULL
    FROM pg_namespace AS n
    CROSS JOIN unnest(ARRAY['CREATE', 'USAGE']) AS p (privilege)
    WHERE n.nspname = $1 AND NOT has_schema_privilege($2, n.oid, p.privilege)";

const ON_FUNCTIONS: &str = "
    SELECT CASE f.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
        format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
        pg_get_userbyid(f.proowner)::text, 'EXECUTE', NULL
    FROM pg_proc AS f
    JOIN pg_namespace AS n ON n.oid = f.pronamespace
    WHERE f.proname = $1 AND NOT has_function_privilege($2, f.oid, 'EXECUTE')";

const ON_TYPES: &str = "
    SELECT 'TYPE', t.oid::regtype::text, pg_get_userbyid(t.typowner)::text, 'USAGE', NULL
    FROM pg_type AS t
    WHERE t.typname = $1 AND NOT has_type_privilege($2, t.oid, 'USAGE')";

const ON_LANGUAGES: &str = "
    SELECT 'LANGUAGE', quote_ident(l.lanname), pg_get_userbyid(l.lanowner)::text, 'USAGE', NULL
    FROM pg_language AS l
    WHERE l.lanname = $1 AND NOT has_language_privilege($2, l.oid, 'USAGE')";

const ON_SERVERS: &str = "
    SELECT 'FOREIGN SERVER', quote_ident(s.srvname), pg_get_userbyid(s.srvowner)::text, 'USAGE', NULL
    FROM pg_foreign_server AS s
    WHERE s.srvname = $1 AND NOT has_server_privilege($2, s.oid, 'USAGE')";

const ON_DATABASE: &str = "
    SELECT 'DATABASE', quote_ident(d.datname), pg_get_userbyid(d.datdba)::text, 'TEMPORARY', NULL
    FROM pg_database AS d
    WHERE d.datname = $1 AND NOT has_database_privilege($2, d.oid, 'TEMPORARY')";

/// A schema without USAGE is passed over in the search path, as if nothing were in it.
const ON_SEARCH_PATH: &str = "
    SELECT 'SCHEMA', quote_ident(n.nspname), pg_get_userbyid(n.nspowner)::text, 'USAGE', NULL
    FROM pg_namespace AS n
    WHERE $1 <> '' AND n.nspname !~ '^pg_' AND NOT has_schema_privilege($2, n.oid, 'USAGE')
        AND n.nspname = ANY (string_to_array(replace(replace(current_setting('search_path'), '\"', ''), ' ', ''), ','))";

/// How the server names what a right is missing on, and where that is looked up.
const KINDS: &[(&str, &str)] = &[
    ("table", ON_RELATIONS),
    ("view", ON_RELATIONS),
    ("materialized view", ON_RELATIONS),
    ("foreign table", ON_RELATIONS),
    ("sequence", ON_SEQUENCES),
    ("schema", ON_SCHEMAS),
    ("function", ON_FUNCTIONS),
    ("procedure", ON_FUNCTIONS),
    ("aggregate", ON_FUNCTIONS),
    ("routine", ON_FUNCTIONS),
    ("type", ON_TYPES),
    ("domain", ON_TYPES),
    ("language", ON_LANGUAGES),
    ("foreign server", ON_SERVERS),
];

/// Every right that `grantee` does not have on what `refusal` names.
async fn candidates(admin: &mut PgConnection, refusal: &Refusal, grantee: &str) -> Result<Vec<Grant>, Error> {
    let Some((catalog, name)) = refused_object(refusal) else { return Ok(Vec::new()) };
    let rows = sqlx::query(catalog).bind(name).bind(grantee).fetch_all(admin).await;
    let rows = rows.map_err(|error| lost("looking for what can be granted", &error))?;
    let grant = |row: &sqlx::postgres::PgRow| Grant {
        object: Object { kind: row.get(0), name: row.get(1), owner: row.get(2), grantee: grantee.into() },
        privilege: row.get(3),
        column: row.get(4),
    };
    Ok(rows.iter().map(grant).collect())
}

fn refused_object(refusal: &Refusal) -> Option<(&'static str, &str)> {
    if ["42P01", "42883", "42704"].contains(&refusal.sqlstate.as_str()) {
        return Some((ON_SEARCH_PATH, &refusal.message));
    }
    let message = refusal.message.as_str();
    if let Some(name) = message.strip_prefix("permission denied to create temporary tables in database ") {
        return Some((ON_DATABASE, name.trim_matches('"')));
    }
    let denied = message.strip_prefix("permission denied for ").filter(|_| refusal.sqlstate == "42501")?;
    KINDS.iter().find_map(|(kind, catalog)| {
        let name = denied.strip_prefix(kind)?.strip_prefix(' ')?;
        Some((*catalog, name.trim_matches('"')))
    })
}
