//! What is different between what `.sqlx` holds and what the server says, in words.

use serde_json::Value;

/// Differences shown; the rest is counted.
const SHOWN: usize = 3;

/// One sentence without its end; `committed` and `now` are not the same.
pub(super) fn told(committed: &Value, now: &Value) -> String {
    let mut found = Vec::new();
    for key in ["db_name", "query", "hash"] {
        if committed[key] != now[key] {
            found.push(format!("`{key}` was edited"));
        }
    }
    columns(&committed["describe"], &now["describe"], &mut found);
    parameters(&committed["describe"]["parameters"], &now["describe"]["parameters"], &mut found);
    if found.is_empty() {
        // Something that sqlx writes down and nobody reads, such as where a column comes from.
        found.push("it was written by another version of sqlx, or edited".into());
    }
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    let told = found.join(", ");
    if more > 0 { format!("{told} and {more} more") } else { told }
}

fn columns(committed: &Value, now: &Value, found: &mut Vec<String>) {
    let (old, new) = (list(&committed["columns"]), list(&now["columns"]));
    for (at, column) in new.iter().enumerate() {
        let name = column["name"].as_str().unwrap_or_default();
        let Some(before) = old.get(at) else {
            found.push(format!("column `{name}` is new"));
            continue;
        };
        if before["name"] != column["name"] {
            let was = before["name"].as_str().unwrap_or_default();
            found.push(format!("column {} is `{name}`, was `{was}`", at + 1));
        }
        changed(&format!("column `{name}`"), &before["type_info"], &column["type_info"], found);
        let nullable = |from: &Value| match from["nullable"][at] {
            Value::Bool(false) => "NOT NULL",
            Value::Bool(true) => "nullable",
            _ => "not known to be nullable or not",
        };
        if committed["nullable"][at] != now["nullable"][at] {
            found.push(format!("column `{name}`: {} → {}", nullable(committed), nullable(now)));
        }
        if before["origin"] != column["origin"] {
            found.push(format!("column `{name}` comes from elsewhere"));
        }
    }
    for column in old.iter().skip(new.len()) {
        found.push(format!("column `{}` is gone", column["name"].as_str().unwrap_or_default()));
    }
}

fn parameters(committed: &Value, now: &Value, found: &mut Vec<String>) {
    let (old, new) = (list(&committed["Left"]), list(&now["Left"]));
    if old.len() != new.len() {
        found.push(format!("{} parameters → {}", old.len(), new.len()));
    }
    for (at, (before, after)) in old.iter().zip(new).enumerate() {
        changed(&format!("parameter ${}", at + 1), before, after, found);
    }
}

fn changed(what: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    if before == after {
        return;
    }
    let (old, new) = (name(before), name(after));
    if old == new {
        found.push(format!("{what}: the parts of type {new} changed"));
    } else {
        found.push(format!("{what}: {old} → {new}"));
    }
}

/// What a type is called; those of the database's own are objects.
fn name(of_type: &Value) -> &str {
    let array = &of_type["Custom"]["name"];
    of_type.as_str().or(array.as_str()).unwrap_or("another type")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_told_by_column_and_parameter() {
        let old = json!({ "query": "q", "describe": {
            "columns": [{ "ordinal": 0, "name": "id", "type_info": "Int4" }, { "ordinal": 1, "name": "n", "type_info": "Text" }],
            "parameters": { "Left": ["Int4"] }, "nullable": [false, false] } });
        let mut new = old.clone();
        new["describe"]["nullable"][1] = json!(true);
        assert_eq!(told(&old, &new), "column `n`: NOT NULL → nullable");
        new["describe"]["columns"][0]["type_info"] = json!("Int8");
        new["describe"]["parameters"]["Left"] = json!(["Int8", "Text"]);
        assert_eq!(
            told(&old, &new),
            "column `id`: Int4 → Int8, column `n`: NOT NULL → nullable, 1 parameters → 2 and 1 more"
        );
        let mut edited = old.clone();
        edited["query"] = json!("other");
        assert_eq!(told(&edited, &old), "`query` was edited");
    }
}
