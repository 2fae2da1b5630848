//! Access rights as the server writes them, taken apart: who may do what.

use std::collections::BTreeMap;

/// Between two entries of one list.
const ENTRY: char = '\u{1d}';

/// The letters that stand for privileges.
const PRIVILEGES: &[(char, &str)] = &[
    ('r', "SELECT"),
    ('a', "INSERT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('c', "CONNECT"),
    ('T', "TEMPORARY"),
    ('m', "MAINTAIN"),
];

/// What each role may do. Who granted it makes no difference.
pub(super) fn by_role(list: &str) -> BTreeMap<String, String> {
    let mut rights: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in list.split(ENTRY) {
        let Some((role, given)) = role_of(entry) else { continue };
        let letters = given.split('/').next().unwrap_or_default();
        rights.entry(role).or_default().extend(privileges(letters));
    }
    rights.retain(|_, privileges| !privileges.is_empty());
    let joined = |mut privileges: Vec<String>| {
        privileges.sort();
        privileges.dedup();
        privileges.join(", ")
    };
    rights.into_iter().map(|(role, privileges)| (role, joined(privileges))).collect()
}

/// `gate_app=r/gate_owner`: the role, and what it was given by whom. A name with odd letters stands in quotes.
fn role_of(entry: &str) -> Option<(String, &str)> {
    let Some(quoted) = entry.strip_prefix('"') else {
        let (role, given) = entry.split_once('=')?;
        return Some((if role.is_empty() { "PUBLIC".into() } else { role.into() }, given));
    };
    let (role, given) = quoted.split_once("\"=")?;
    Some((role.replace("\"\"", "\""), given))
}

/// `arw*` is three privileges, the last of them with the right to grant it.
fn privileges(letters: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for letter in letters.chars() {
        match PRIVILEGES.iter().find(|(known, _)| *known == letter) {
            Some((_, name)) => found.push((*name).into()),
            None if letter == '*' => {
                if let Some(last) = found.last_mut() {
                    last.push_str(" WITH GRANT OPTION");
                }
            }
            None => found.push(letter.into()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_told_by_role_whoever_granted_them() {
        let list = "gate_owner=arwdDxt/gate_owner\u{1d}gate_app=r*a/gate_owner\u{1d}gate_app=w/\"a/b\"\u{1d}=r/gate_owner";

        let rights = by_role(list);

        assert_eq!(rights["gate_app"], "INSERT, SELECT WITH GRANT OPTION, UPDATE");
        assert_eq!(rights["PUBLIC"], "SELECT");
        assert_eq!(rights.len(), 3);
        assert_eq!(by_role("\"a=\"\"b\"=U/x")["a=\"b"], "USAGE");
    }
}
