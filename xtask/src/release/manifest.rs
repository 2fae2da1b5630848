//! The workspace's version: where it stands in the manifest and in the lock file, read and replaced.

use std::collections::BTreeSet;

/// Tables that may hold the version of all, the workspace's own first.
const TABLES: [&str; 2] = ["[workspace.package]", "[package]"];

/// The version of the root manifest, and the table that it stands in.
pub(crate) fn version(manifest: &str) -> Option<(&'static str, String)> {
    let parsed: toml::Table = manifest.parse().ok()?;
    let shared = || parsed.get("workspace")?.get("package")?.get("version")?.as_str();
    let own = || parsed.get("package")?.get("version")?.as_str();
    shared().map(|it| (TABLES[0], it.to_owned())).or_else(|| own().map(|it| (TABLES[1], it.to_owned())))
}

/// The manifest with another version; nothing where the line cannot be found.
pub(crate) fn with_version(manifest: &str, version: &str) -> Option<String> {
    let (table, old) = self::version(manifest)?;
    let mut text = String::with_capacity(manifest.len() + version.len());
    let mut inside = false;
    let mut replaced = false;
    for line in manifest.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') {
            inside = bare.split('#').next().is_some_and(|it| it.trim() == table);
        }
        let key = bare.split('=').next().map(str::trim);
        if inside && !replaced && key == Some("version") {
            text += &line.replacen(&old, version, 1);
            replaced = true;
        } else {
            text += line;
        }
    }
    (replaced && self::version(&text).is_some_and(|it| it.1 == version)).then_some(text)
}

/// The lock file in which the named packages of the workspace have another version; and how many have.
pub(crate) fn lock_with_version(
    lock: &str,
    packages: &BTreeSet<String>,
    old: &str,
    version: &str,
) -> (String, usize) {
    let mut count = 0;
    let (before, after) = (format!("\nversion = \"{old}\""), format!("\nversion = \"{version}\""));
    let blocks = lock.split("\n\n").map(|block| {
        let own = block.lines().find_map(|it| it.strip_prefix("name = \"")?.strip_suffix('"'));
        let ours = own.is_some_and(|it| packages.contains(it)) && !block.contains("\nsource = ");
        if !ours || !block.contains(&before) {
            return block.to_owned();
        }
        count += 1;
        block.replacen(&before, &after, 1)
    });
    let text = blocks.collect::<Vec<_>>().join("\n\n");
    (text, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace]\nmembers = [\"a\"]\n\n[workspace.package] # all\nrust-version = \"1.0.0\"\nversion = \"1.0.0\" # of all\n\n[workspace.dependencies]\nx = { version = \"1.0.0\" }\n";

    #[test]
    fn only_the_line_of_the_version_changes() {
        let text = with_version(MANIFEST, "1.1.0").unwrap();
        assert_eq!(text, MANIFEST.replacen("\nversion = \"1.0.0\" #", "\nversion = \"1.1.0\" #", 1));
        let single = "[package]\nname = \"a\"\nversion=\"0.1.0\"\n[dependencies.x]\nversion = \"0.1.0\"\n";
        assert_eq!(with_version(single, "0.2.0").unwrap(), single.replacen("0.1.0", "0.2.0", 1));
        assert_eq!(with_version("[workspace]\n", "1.0.0"), None);
    }

    #[test]
    fn somebody_elses_package_of_the_same_name_keeps_its_version() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry\"\n";
        let (text, count) = lock_with_version(lock, &["a".to_owned()].into(), "1.0.0", "1.1.0");
        assert_eq!(count, 1);
        assert_eq!(text, lock.replacen("1.0.0", "1.1.0", 1));
    }
}
