//! What a table refuses to store: constraints, unique indexes, triggers, policies; and which of it is new.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, Row as _};

use crate::{
    error::Error,
    target::lost,
    writes::{Table, Write},
};

/// One thing that a table may refuse a write for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Restriction {
    pub(crate) table: Table,
    /// In words, with its name.
    pub(crate) name: String,
    /// As SQL spells it.
    pub(crate) definition: String,
    /// `INSERT`, `UPDATE`, `DELETE`, whichever it may refuse.
    operations: Vec<String>,
    /// The columns that it looks at; none where that cannot be told.
    columns: Vec<String>,
}

/// The restrictions of a database.
#[derive(Debug, Default, Clone)]
pub(crate) struct Restrictions {
    all: BTreeMap<Table, BTreeSet<Restriction>>,
    /// The columns of every table.
    columns: BTreeMap<Table, BTreeSet<String>>,
}

const RESTRICTIONS: &str = "
    WITH columns AS NOT MATERIALIZED (
        SELECT attrelid, attnum, attname::text FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
    )
    SELECT k.conrelid AS relation, 'constraint `' || k.conname || '`' AS name, pg_get_constraintdef(k.oid) AS definition,
        ARRAY['INSERT', 'UPDATE', 'MERGE'] AS operations,
        ARRAY(SELECT attname FROM columns WHERE attrelid = k.conrelid AND attnum = ANY (k.conkey)) AS looks_at
    FROM pg_constraint AS k
    WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conrelid <> 0 AND k.conparentid = 0
    UNION ALL
    SELECT k.confrelid, 'constraint `' || k.conname || '` of `' || k.conrelid::regclass || '`', pg_get_constraintdef(k.oid),
        ARRAY['DELETE'], '{}'
    FROM pg_constraint AS k
    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confdeltype IN ('a', 'r')
    UNION ALL
    SELECT i.indrelid, 'unique index `' || x.relname || '`',
        regexp_replace(pg_get_indexdef(i.indexrelid), '^.* ON \\S+ ', 'UNIQUE '),
        ARRAY['INSERT', 'UPDATE', 'MERGE'],
        ARRAY(SELECT attname FROM columns WHERE attrelid = i.indrelid AND attnum = ANY (i.indkey::int2[]) AND 0 <> ALL (i.indkey::int2[]))
    FROM pg_index AS i
    JOIN pg_class AS x ON x.oid = i.indexrelid
    WHERE i.indisunique AND NOT x.relispartition
        AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
    UNION ALL
    SELECT g.tgrelid, 'trigger `' || g.tgname || '`', regexp_replace(pg_get_triggerdef(g.oid), 'TRIGGER \\S+ ', 'TRIGGER '),
        array_remove(ARRAY[
            CASE WHEN g.tgtype & 4 <> 0 THEN 'INSERT' END,
            CASE WHEN g.tgtype & 8 <> 0 THEN 'DELETE' END,
            CASE WHEN g.tgtype & 16 <> 0 THEN 'UPDATE' END,
            'MERGE'], NULL),
        '{}'
    FROM pg_trigger AS g
    WHERE NOT g.tgisinternal AND g.tgparentid = 0
    UNION ALL
    SELECT c.oid, 'row-level security', 'ENABLE ROW LEVEL SECURITY', ARRAY['INSERT', 'UPDATE', 'DELETE', 'MERGE'], '{}'
    FROM pg_class AS c
    WHERE c.relrowsecurity
    UNION ALL
    SELECT a.attrelid, 'NOT NULL of `' || a.attname || '`', 'NOT NULL', ARRAY['INSERT', 'UPDATE', 'MERGE'], ARRAY[a.attname::text]
    FROM pg_attribute AS a
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull";

impl Restrictions {
    /// Reads them from the catalog.
    pub(crate) async fn read(admin: &mut PgConnection) -> Result<Self, Error> {
        let query = format!(
            "SELECT n.nspname::text, c.relname::text, r.name, r.definition, r.operations, r.looks_at
             FROM ({RESTRICTIONS}) AS r
             JOIN pg_class AS c ON c.oid = r.relation AND c.relkind IN ('r', 'p')
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        );
        let doing = "reading what tables refuse";
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut *admin).await;
        let rows = rows.map_err(|error| lost(doing, &error))?;
        let mut all: BTreeMap<Table, BTreeSet<Restriction>> = BTreeMap::new();
        for row in &rows {
            let table: Table = (row.get(0), row.get(1));
            all.entry(table.clone()).or_default().insert(Restriction {
                table,
                name: row.get(2),
                definition: row.get(3),
                operations: row.get(4),
                columns: row.get(5),
            });
        }
        let rows = sqlx::query(
            "SELECT n.nspname::text, c.relname::text, array_agg(a.attname::text)
             FROM pg_class AS c
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relkind IN ('r', 'p')
             GROUP BY 1, 2",
        )
        .fetch_all(admin)
        .await
        .map_err(|error| lost(doing, &error))?;
        let columns = rows.iter().map(|row| {
            let columns: Vec<String> = row.get(2);
            ((row.get(0), row.get(1)), columns.into_iter().collect())
        });
        Ok(Self { all, columns: columns.collect() })
    }

    /// What may refuse one of the `writes` now and did not `before`.
    pub(crate) fn new_for<'r>(&'r self, before: &Self, writes: &BTreeSet<Write>) -> Vec<&'r Restriction> {
        let refuses = |it: &&Restriction| {
            writes.iter().any(|write| write.table == it.table && it.operations.contains(&write.operation))
        };
        let written: BTreeSet<&Table> = writes.iter().map(|it| &it.table).collect();
        let of_written = written.into_iter().filter_map(|it| self.all.get(it)).flatten();
        of_written.filter(|it| before.lacks(it)).filter(refuses).collect()
    }

    /// Whether the table was there, and nothing that refuses the same; on nothing but new columns no old write is refused.
    fn lacks(&self, new: &Restriction) -> bool {
        let Some(columns) = self.columns.get(&new.table) else { return false };
        let is_of_old_columns = new.columns.is_empty() || new.columns.iter().any(|it| columns.contains(it));
        let mut of_table = self.all.get(&new.table).into_iter().flatten();
        let is_like = |old: &Restriction| old.operations == new.operations && old.refuses_no_less_than(new);
        is_of_old_columns && !of_table.any(is_like)
    }
}

impl Restriction {
    fn refuses_no_less_than(&self, new: &Self) -> bool {
        // Only the column tells one NOT NULL from another.
        let is_same = self.definition == new.definition && self.columns == new.columns;
        // A longer list of values refuses less.
        let ((old_rest, old_values), (new_rest, new_values)) =
            (values(&self.definition), values(&new.definition));
        is_same || !old_values.is_empty() && old_rest == new_rest && old_values.is_subset(&new_values)
    }
}

/// A definition without the items of its arrays, and the items.
fn values(definition: &str) -> (String, BTreeSet<&str>) {
    let (mut rest, mut values) = (String::new(), BTreeSet::new());
    let mut left = definition;
    while let Some(begin) = left.find("ARRAY[") {
        let begin = begin + "ARRAY[".len();
        let end = left[begin..].find(']').map_or(left.len(), |it| begin + it);
        rest += &left[..begin];
        values.extend(left[begin..end].split(", "));
        left = &left[end..];
    }
    (rest + left, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_list_of_values_refuses_less() {
        let check = |items: &str| Restriction {
            table: ("public".into(), "t".into()),
            name: "constraint `c`".into(),
            definition: format!("CHECK ((kind = ANY (ARRAY[{items}])))"),
            operations: vec!["INSERT".into()],
            columns: vec!["kind".into()],
        };
        let (short, long) = (check("'a'::text"), check("'a'::text, 'b'::text"));

        assert!(short.refuses_no_less_than(&long));
        assert!(!long.refuses_no_less_than(&short));
    }
}
