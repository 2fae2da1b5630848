//! The changelog: what is unreleased becomes a version's section.

/// A changelog's lines, with the places that a release speaks of.
#[derive(Debug)]
pub(crate) struct Changelog<'a> {
    text: &'a str,
}

/// A section of the second level.
struct Section<'a> {
    /// Where its heading begins, in bytes.
    at: usize,
    heading: &'a str,
    body: &'a str,
}

impl<'a> Changelog<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// What is written under `Unreleased`; nothing where there is no such section.
    pub(crate) fn unreleased(&self) -> Option<&'a str> {
        self.section("Unreleased").map(|it| it.body.trim())
    }

    /// What is written under a version.
    pub(crate) fn of(&self, version: &str) -> Option<&'a str> {
        self.section(version).map(|it| it.body.trim())
    }

    /// The day in a version's heading.
    pub(crate) fn day_of(&self, version: &str) -> Option<&'a str> {
        let heading = self.section(version)?.heading;
        heading.split_whitespace().next_back().filter(|it| it.len() == 10 && it.contains('-'))
    }

    /// The text with what is unreleased under the version and a day; `Unreleased` stays, and is empty.
    pub(crate) fn released(&self, version: &str, day: &str) -> Option<String> {
        let section = self.section("Unreleased")?;
        let end = section.at + section.heading.len();
        let name = if section.heading.contains('[') { format!("[{version}]") } else { version.to_owned() };
        Some(format!("{}\n\n## {name} - {day}{}", &self.text[..end], &self.text[end..]))
    }

    fn section(&self, name: &str) -> Option<Section<'a>> {
        let mut at = 0;
        let mut found: Option<Section<'a>> = None;
        for line in self.text.split_inclusive('\n') {
            if line.starts_with("## ") {
                if let Some(section) = found {
                    let body = &self.text[section.at + section.heading.len()..at];
                    return Some(Section { body, ..section });
                }
                let heading = line.trim_end();
                if is_called(heading, name) {
                    found = Some(Section { at, heading, body: "" });
                }
            }
            at += line.len();
        }
        found.map(|section| Section { body: &self.text[section.at + section.heading.len()..], ..section })
    }
}

/// Whether a heading is `## NAME`, in brackets or not, with or without a day behind it.
fn is_called(heading: &str, name: &str) -> bool {
    let first = heading.trim_start_matches('#').split_whitespace().next().unwrap_or_default();
    first.trim_start_matches('[').trim_end_matches(']').eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# Changelog\n\n## Unreleased\n\n- New.\n- Newer.\n\n## 1.0.0 - 2026-01-02\n\n- First.\n";

    #[test]
    fn what_is_unreleased_becomes_the_versions_and_an_empty_section_stays() {
        let released = Changelog::new(TEXT).released("1.1.0", "2026-11-21").unwrap();
        insta::assert_snapshot!(released, @"
        # Changelog

        ## Unreleased

        ## 1.1.0 - 2026-11-21

        - New.
        - Newer.

        ## 1.0.0 - 2026-01-02

        - First.
        ");
        let after = Changelog::new(&released);
        assert_eq!(after.unreleased(), Some(""));
        assert_eq!(after.of("1.1.0"), Some("- New.\n- Newer."));
        assert_eq!(after.day_of("1.1.0"), Some("2026-11-21"));
        assert_eq!(after.of("1.0.0"), Some("- First."));
    }

    #[test]
    fn brackets_stay_brackets() {
        let released = Changelog::new("## [Unreleased]\n- New.\n").released("2.0.0", "2026-11-21").unwrap();
        assert_eq!(released, "## [Unreleased]\n\n## [2.0.0] - 2026-11-21\n- New.\n");
        assert_eq!(Changelog::new(&released).of("2.0.0"), Some("- New."));
    }

    #[test]
    fn a_document_without_the_section_has_none() {
        assert_eq!(Changelog::new("# Changelog\n").unreleased(), None);
        assert_eq!(Changelog::new(TEXT).day_of("2.0.0"), None);
    }
}
