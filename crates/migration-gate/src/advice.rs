//! What to do about a refusal, by what the server said.

use sqlx::Row;

use crate::{
    error::Error,
    files::MigrationFile,
    history::Removal,
    refusal::{Moment, Refusal},
    target::{Target, lost},
};

/// What helps for a SQLSTATE, whatever the statement was.
const BY_SQLSTATE: &[(&str, &str)] = &[
    (
        "42601",
        "correct the syntax; the file is sent as one query, so nothing that only `psql` understands may stand in it",
    ),
    ("42703", "correct the name, or add the column in a migration before this one"),
    ("42P01", "correct the name, or make the relation in a migration before this one"),
    (
        "3F000",
        "make the schema in a migration before this one, or in the prelude where an administrator does",
    ),
    ("42704", "make it in a migration before this one; roles are made by the prelude"),
    ("42P07", "choose another name, or drop or rename what an earlier migration made"),
    ("42701", "choose another name, or leave out what an earlier migration added"),
    ("42710", "choose another name, or drop what is there first"),
    ("42723", "use `CREATE OR REPLACE`, or drop the earlier function first"),
    ("55P04", "add the enum's value in a migration of its own, before the one that uses it"),
    ("23502", "give the column a default, or fill it in an earlier migration"),
    ("55P03", "take the lock in a migration of its own, when nothing holds the table"),
    ("57P01", "let the migration leave its own connection alone"),
    ("2D000", "take `COMMIT` and `ROLLBACK` out of the block: the whole file is one transaction"),
    ("08P01", "put the rows into `INSERT` statements: sqlx sends no data after `COPY … FROM STDIN`"),
    ("57014", "it ran into `statement_timeout`: do it in smaller parts"),
];

/// An object that somebody owns.
#[derive(Debug)]
pub(crate) struct Owned {
    kind: String,
    name: String,
    owner: Option<String>,
}

impl std::fmt::Display for Owned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)?;
        match &self.owner {
            Some(owner) => write!(f, ", which `{owner}` owns"),
            None => Ok(()),
        }
    }
}

/// What to do about `refusal` of `file` by `role`.
pub(crate) fn fix(refusal: &Refusal, file: &MigrationFile, role: &str) -> String {
    if refusal.moment != Moment::File {
        return open_ledger(refusal, role);
    }
    if refusal.sqlstate == "25001" {
        return outside_transaction(file);
    }
    if refusal.sqlstate == "42501" {
        return permission(refusal, role);
    }
    let known = BY_SQLSTATE.iter().find(|(sqlstate, _)| *sqlstate == refusal.sqlstate);
    known.map_or_else(|| "correct the statement and check again".into(), |(_, fix)| (*fix).into())
}

/// What to do where an earlier migration has taken away what this one asks for.
pub(crate) fn without_it(removal: &Removal) -> String {
    match &removal.renamed_to {
        Some(name) => format!("call it `{name}`: this runs on the schema that the earlier migrations leave"),
        None => "write it for the schema that the earlier migrations leave: without what was dropped".into(),
    }
}

/// What the deployer needs to open the ledger and to write in it.
pub(crate) fn open_ledger(refusal: &Refusal, role: &str) -> String {
    if refusal.message.starts_with("permission denied for schema") {
        format!(
            "let the prelude, and an administrator in production, run `GRANT USAGE, CREATE ON SCHEMA public TO {role};` \
             (sqlx asks for it even where the table exists)"
        )
    } else if refusal.sqlstate == "42501" {
        format!(
            "let the owner of the ledger run `GRANT SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations TO {role};`, in its \
             first migration"
        )
    } else {
        "see that the file leaves the ledger and the `search_path` alone, and that its deferred constraints hold".into()
    }
}

/// The object that "must be owner of …" speaks of.
pub(crate) async fn owned_object(target: &Target, refusal: &Refusal) -> Result<Owned, Error> {
    const OWNER: &str = "
        SELECT pg_get_userbyid(owner)::text FROM (
            SELECT relname AS name, relowner AS owner, 'relation' AS kind FROM pg_class
            UNION ALL SELECT proname, proowner, 'function' FROM pg_proc
            UNION ALL SELECT typname, typowner, 'type' FROM pg_type
            UNION ALL SELECT nspname, nspowner, 'schema' FROM pg_namespace
            UNION ALL SELECT datname, datdba, 'database' FROM pg_database
            UNION ALL SELECT extname, extowner, 'extension' FROM pg_extension
        ) AS object
        WHERE name = $1 AND kind = $2
        ORDER BY (pg_get_userbyid(owner) = 'postgres') LIMIT 1";

    let (kind, name) = object(&refusal.message);
    let class = match kind.as_str() {
        "function" | "procedure" | "aggregate" | "routine" => "function",
        "type" | "domain" => "type",
        "schema" | "database" | "extension" => kind.as_str(),
        _ => "relation",
    };
    let mut admin = target.admin().await?;
    let row = sqlx::query(OWNER)
        .bind(name.rsplit('.').next().unwrap_or(&name))
        .bind(class)
        .fetch_optional(&mut admin)
        .await
        .map_err(|error| lost("looking for an owner", &error))?;
    Ok(Owned { kind, name, owner: row.map(|row| row.get(0)) })
}

/// Ownership is not granted; there are only two ways.
pub(crate) fn leave_to_owner(object: &Owned, role: &str, file: &MigrationFile) -> String {
    let owner = object.owner.as_deref().unwrap_or("its owner");
    format!(
        "leave `{}` alone and put the change into something that `{role}` makes and owns; or let `{owner}` apply \
         `{}` in production and have the ledger say so (`role = \"owner\"`); grants do not help",
        object.name,
        file.file_name()
    )
}

/// `must be owner of materialized view totals` names kind and object.
fn object(message: &str) -> (String, String) {
    let rest = message.trim_start_matches("must be owner of ");
    let (kind, name) = rest.rsplit_once(' ').unwrap_or(("object", rest));
    (kind.into(), name.trim_matches('"').into())
}

fn outside_transaction(file: &MigrationFile) -> String {
    let marker = "`-- no-transaction` as its very first bytes, and nothing but this one statement";
    let text = file.sql().unwrap_or_default();
    if file.is_outside_transaction() {
        "keep one statement in the file: several in one query are one transaction, whatever the marker says"
            .into()
    } else if text.lines().any(|line| line.trim_start().starts_with("-- no-transaction")) {
        format!("sqlx looks for the marker at the very start of the file: give it {marker}")
    } else {
        format!("put it into a file of its own, with {marker}")
    }
}

fn permission(refusal: &Refusal, role: &str) -> String {
    let message = &refusal.message;
    if refusal.asks_for_another_role() {
        return format!(
            "take the statement away: everything in the file runs as `{role}`, who is no member of that role"
        );
    }
    if message.contains("create role") {
        return format!(
            "roles are made once for the whole server: let an administrator make it, the prelude here (`--prelude`), and leave \
             `CREATE ROLE` out; or let the prelude make `{role}` with `CREATEROLE`, where production's has it"
        );
    }
    if refusal.asks_for_superuser() || message.contains("extension") {
        return format!(
            "`{role}` may not do this: let a database administrator do it in production before the deployment, and the prelude \
             (`--prelude`) here"
        );
    }
    if message.starts_with("permission denied for the database") {
        return format!(
            "let a database administrator do it, and the prelude here; or `GRANT CREATE ON DATABASE … TO {role};` in production and \
             in the prelude"
        );
    }
    if let Some(denied) = message.strip_prefix("permission denied for ") {
        return format!(
            "let the owner of {denied} grant `{role}` what the statement needs, in an earlier migration"
        );
    }
    format!("do without it: `{role}` is no superuser in production")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_read_from_what_the_server_says() {
        for (message, kind, name) in [
            ("must be owner of table accounts", "table", "accounts"),
            ("must be owner of materialized view \"Totals\"", "materialized view", "Totals"),
            ("must be owner of function touch", "function", "touch"),
        ] {
            assert_eq!(object(message), (kind.into(), name.into()));
        }
    }
}
