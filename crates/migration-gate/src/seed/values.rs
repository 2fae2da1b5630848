//! Values that a column may take, by its type and by the words of its checks.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::Column;

/// Literals of `base`, one for each of the two rows; what is not here is left to the column's default.
const BY_TYPE: &[(&str, &[[&str; 2]])] = &[
    ("bool", &[["true", "false"], ["false", "true"]]),
    // Far from where sequences begin and from what migrations insert.
    ("int2", &[["30001", "30002"], ["1", "2"], ["0", "5"], ["-1", "-2"]]),
    ("int4", &[["30001", "30002"], ["1", "2"], ["0", "5"], ["50", "60"], ["-1", "-2"], ["2024", "2025"]]),
    (
        "int8",
        &[
            ["30001", "30002"],
            ["1", "2"],
            ["0", "5"],
            ["50", "60"],
            ["-1", "-2"],
            ["1700000000", "1700000001"],
        ],
    ),
    ("float4", &[["1.5", "2.5"], ["0", "0.5"], ["-1", "-2"], ["50", "60"]]),
    ("float8", &[["1.5", "2.5"], ["0", "0.5"], ["-1", "-2"], ["50", "60"]]),
    ("numeric", &[["1", "2"], ["0", "0.5"], ["-1", "-2"], ["50", "60"]]),
    ("money", &[["1", "2"]]),
    ("uuid", &[["6f0c1a52-3d7e-4b8a-9c11-000000000001", "6f0c1a52-3d7e-4b8a-9c11-000000000002"]]),
    ("date", &[["2024-02-01", "2024-03-02"], ["2031-02-01", "2031-03-02"]]),
    ("time", &[["10:00", "11:30"]]),
    ("timetz", &[["10:00+00", "11:30+00"]]),
    ("timestamp", &[["2024-02-01 10:00", "2024-03-02 11:30"], ["2031-02-01 10:00", "2031-03-02 11:30"]]),
    (
        "timestamptz",
        &[["2024-02-01 10:00+00", "2024-03-02 11:30+00"], ["2031-02-01 10:00+00", "2031-03-02 11:30+00"]],
    ),
    ("interval", &[["1 hour", "2 days"]]),
    ("json", &[["{}", "{\"a\": 1}"], ["[]", "[1]"], ["\"a\"", "\"b\""]]),
    ("jsonb", &[["{}", "{\"a\": 1}"], ["[]", "[1]"], ["\"a\"", "\"b\""]]),
    ("bytea", &[["\\x61", "\\x62"]]),
    ("inet", &[["192.0.2.1", "192.0.2.2"]]),
    ("cidr", &[["192.0.2.0/25", "192.0.2.128/25"]]),
    ("macaddr", &[["02:00:00:00:00:01", "02:00:00:00:00:02"]]),
    ("bit", &[["1", "0"]]),
    ("varbit", &[["1", "01"]]),
    ("xml", &[["<a/>", "<b/>"]]),
    ("tsvector", &[["one", "two"]]),
    ("tsquery", &[["one", "two"]]),
    ("point", &[["(1,1)", "(2,2)"]]),
    ("hstore", &[["", "\"a\"=>\"1\""]]),
    ("ltree", &[["a", "b.c"]]),
    ("int4range", &[["[1,5)", "[11,15)"]]),
    ("int8range", &[["[1,5)", "[11,15)"]]),
    ("numrange", &[["[1,5)", "[11,15)"]]),
    ("daterange", &[["[2024-01-01,2024-01-05)", "[2024-02-01,2024-02-05)"]]),
    ("tsrange", &[["[2024-01-01,2024-01-05)", "[2024-02-01,2024-02-05)"]]),
    ("tstzrange", &[["[2024-01-01,2024-01-05)", "[2024-02-01,2024-02-05)"]]),
];

const TEXTS: &[[&str; 2]] = &[
    ["a1", "b2"],
    ["A", "B"],
    ["1", "2"],
    ["a1@example.org", "b2@example.org"],
    ["https://a1.example.org/", "https://b2.example.org/"],
    ["a sample of some length", "b sample of some length"],
    [
        "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90",
        "b2b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90",
    ],
    ["", ""],
];

/// SQL expressions for `column` in row `place` (0 or 1), the likeliest first; `conditions` are those on the column.
pub(super) fn of(column: &Column, place: usize, conditions: &[&str]) -> Vec<String> {
    let mut literals = match &column.element {
        Some(element) => of_array(element, place),
        None if column.labels.is_empty() => of_type(&column.base, place),
        None => rotated(&column.labels, place),
    };
    if column.labels.is_empty() && column.element.is_none() {
        let said: Vec<String> = conditions.iter().flat_map(|it| said_by(it, &column.base, place)).collect();
        // Of a list of words each row takes another one.
        literals.extend(rotated(&said, place));
    }
    let mut seen = BTreeSet::new();
    literals.retain(|it| seen.insert(it.clone()));
    literals.iter().map(|it| format!("'{}'::{}", it.replace('\'', "''"), column.sql_type)).collect()
}

fn of_type(base: &str, place: usize) -> Vec<String> {
    let pairs = match BY_TYPE.iter().find(|(name, _)| *name == base) {
        Some((_, pairs)) => pairs,
        None if is_text(base) => TEXTS,
        None => &[],
    };
    pairs.iter().map(|pair| pair[place].to_owned()).collect()
}

/// One with an element and an empty one.
fn of_array(element: &str, place: usize) -> Vec<String> {
    let escaped = |it: String| format!("{{\"{}\"}}", it.replace('\\', "\\\\").replace('"', "\\\""));
    of_type(element, place).into_iter().next().map(escaped).into_iter().chain(["{}".to_owned()]).collect()
}

/// What the words of a condition suggest.
fn said_by(condition: &str, base: &str, place: usize) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    if is_text(base) {
        said.extend(quoted(condition).filter_map(|it| matching(&it, place)));
        said.extend(quoted(condition));
    }
    said.extend(quoted(condition).chain(numbers(condition)).filter(|it| fits(base, it)));
    said
}

fn is_text(base: &str) -> bool {
    matches!(base, "text" | "varchar" | "bpchar" | "citext" | "name" | "char")
}

/// The same list, for the second row from its second entry on.
fn rotated(list: &[String], place: usize) -> Vec<String> {
    let mut list = list.to_vec();
    let by = place.min(list.len().saturating_sub(1));
    list.rotate_left(by);
    list
}

/// The string literals of a condition, as the server prints it.
fn quoted(condition: &str) -> impl Iterator<Item = String> {
    condition.split('\'').skip(1).step_by(2).map(str::to_owned)
}

/// The numbers of a condition and their neighbours.
fn numbers(condition: &str) -> impl Iterator<Item = String> {
    condition
        .split(|it: char| !(it.is_ascii_digit() || it == '.'))
        .filter_map(|word| word.parse::<i64>().ok())
        .flat_map(|number| [number, number.saturating_add(1), number.saturating_sub(1)])
        .map(|number| number.to_string())
}

/// Whether `literal` may be one of `base`: a cast that fails would spoil the whole question.
fn fits(base: &str, literal: &str) -> bool {
    match base {
        "int2" => literal.parse::<i16>().is_ok(),
        "int4" => literal.parse::<i32>().is_ok(),
        "int8" => literal.parse::<i64>().is_ok(),
        "numeric" | "float4" | "float8" => literal.parse::<f64>().is_ok(),
        "date" | "timestamp" | "timestamptz" => {
            let bytes = literal.as_bytes();
            bytes.len() >= 10
                && bytes[..4].iter().all(u8::is_ascii_digit)
                && bytes[4] == b'-'
                && bytes[7] == b'-'
        }
        _ => false,
    }
}

/// A text that the regular expression matches; another one for each row.
fn matching(pattern: &str, place: usize) -> Option<String> {
    if !pattern.contains(['^', '[', '\\', '(', '$']) {
        return None;
    }
    let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
    let mut text = String::new();
    write(&hir, place, &mut text);
    Some(text)
}

fn write(hir: &Hir, place: usize, text: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(member(class, place)),
        HirKind::Repetition(repetition) => {
            let times = if repetition.min == 0 && repetition.max != Some(0) { 0 } else { repetition.min };
            (0..times).for_each(|_| write(&repetition.sub, place, text));
        }
        HirKind::Capture(capture) => write(&capture.sub, place, text),
        HirKind::Concat(parts) => parts.iter().for_each(|it| write(it, place, text)),
        HirKind::Alternation(ways) => {
            if let Some(way) = ways.get(place).or(ways.first()) {
                write(way, place, text);
            }
        }
    }
}

/// A letter where the class has letters, else its first or second character.
fn member(class: &Class, place: usize) -> Option<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.ranges().iter().map(|it| (it.start(), it.end())).collect(),
        Class::Bytes(class) => class.ranges().iter().map(|it| (it.start().into(), it.end().into())).collect(),
    };
    let all = || ranges.iter().flat_map(|(from, to)| *from..=*to).take(300);
    all().filter(char::is_ascii_lowercase).nth(place).or_else(|| all().nth(place)).or_else(|| all().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_made_for_a_pattern() {
        for (pattern, first, second) in [
            ("^[a-z][a-z0-9-]{0,62}$", "a", "b"),
            (r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$", "0.0.0", "1.1.1"),
            ("^([0-9a-f]{4}|[0-9a-f]{8})$", "aaaa", "bbbbbbbb"),
        ] {
            assert_eq!(matching(pattern, 0).as_deref(), Some(first));
            assert_eq!(matching(pattern, 1).as_deref(), Some(second));
        }
        assert_eq!(matching("plain words", 0), None);
    }
}
