//! Which figures a service tells, and which the table of figures lists.

use std::collections::BTreeSet;

/// The names of the figures that `/metrics` tells.
pub fn told(metrics: &str) -> BTreeSet<String> {
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let name = |(name, kind): (&str, &str)| match kind {
        "counter" => format!("{name}_total"),
        _ => name.to_owned(),
    };
    families.map(name).collect()
}

/// The names that the table of figures (`.config/prometheus/README.md`) lists under these headings.
///
/// # Panics
/// There is no such heading.
pub fn listed(table: &str, headings: &[&str]) -> BTreeSet<String> {
    let under = |heading: &&str| {
        let part = table.split("\n## ").find(|part| part.lines().next() == Some(heading));
        part.unwrap_or_else(|| panic!("the table has no part `{heading}`"))
    };
    let lines = headings.iter().map(under).flat_map(str::lines);
    let names = lines.filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next());
    names.map(ToOwned::to_owned).collect()
}
