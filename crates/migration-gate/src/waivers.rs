//! What a project has decided to live with: findings that are waived until a day, and the ledger's known oddities.
//!
//! A waiver counts for the code and the thing that it names, and only to the end of its last day (UTC).

use std::path::Path;

use serde::Deserialize;
use time::{Date, Month, OffsetDateTime};
use toml::{Spanned, value::Datetime};

use crate::{
    codes::{self, Code},
    document::{Document, DocumentError, did_you_mean},
    error::Error,
    finding::Finding,
    ledger,
};

/// The file beside the migrations that is read where no other is named.
pub const WAIVERS_FILE: &str = "waivers.toml";

/// What nobody may decide to live with: what is not proven or not judged, and the waivers' own faults.
const NEVER_WAIVED: [&Code; 4] =
    [&codes::LEDGER_UNPROVEN, &codes::NOT_JUDGED, &codes::WAIVER_EXPIRED, &codes::WAIVER_UNUSED];

/// The file, or nothing where there is none.
#[derive(Debug, Default)]
pub struct Waivers {
    path: String,
    waivers: Vec<Waiver>,
    /// Other bytes than the tree's that some production recorded, and that are known to be harmless.
    pub alternates: Vec<Alternate>,
    /// What some production recorded and the tree has given up.
    pub missing: Vec<Missing>,
}

/// A finding that does not count for the time being.
#[derive(Debug)]
struct Waiver {
    code: &'static str,
    file: Option<String>,
    query: Option<String>,
    object: Option<String>,
    reason: String,
    expires: Date,
    line: u32,
}

/// A migration whose file is not what production recorded, and may be.
#[derive(Debug)]
pub struct Alternate {
    pub version: i64,
    /// What production recorded: sha384 in lower-case hex.
    pub checksum: String,
    line: u32,
}

/// A migration that production recorded and that the tree need not have.
#[derive(Debug)]
pub struct Missing {
    pub version: i64,
    line: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    waiver: Vec<Spanned<RawWaiver>>,
    #[serde(default)]
    alternate: Vec<Spanned<RawAlternate>>,
    #[serde(default)]
    missing: Vec<Spanned<RawMissing>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWaiver {
    code: Spanned<String>,
    file: Option<String>,
    query: Option<String>,
    object: Option<String>,
    reason: Spanned<String>,
    expires: Spanned<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlternate {
    version: i64,
    checksum: Spanned<String>,
    reason: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMissing {
    version: i64,
    reason: Spanned<String>,
}

impl Waivers {
    /// Reads and validates the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, names no code of the gate, gives no reason, or no day.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Ok(Self::parse(&Document::read("the waivers", path)?)?)
    }

    /// Whether some production may have recorded `checksum` for `version` although the tree has other bytes.
    pub fn allow_alternate(&self, version: i64, checksum: &str) -> bool {
        self.alternates.iter().any(|it| it.version == version && it.checksum == checksum)
    }

    /// Whether some production may have recorded `version` although the tree does not have it.
    pub fn allow_missing(&self, version: i64) -> bool {
        self.missing.iter().any(|it| it.version == version)
    }

    /// Takes the waived findings out of `findings`, and says which those were.
    ///
    /// Where something could not be judged and no other fault would be left to say so, nothing is waived: that would
    /// turn green what nobody has looked at.
    pub(crate) fn apply(&self, findings: &mut Vec<Finding>) -> Applied {
        let today = OffsetDateTime::now_utc().date();
        let mut applied = Applied { used: vec![false; self.waivers.len()], ..Applied::default() };
        let (mut kept, mut waived) = (Vec::with_capacity(findings.len()), Vec::new());
        for finding in findings.drain(..) {
            let covering = self.waivers.iter().position(|it| it.covers(&finding));
            covering.inspect(|index| applied.used[*index] = true);
            match covering.map(|index| &self.waivers[index]).filter(|it| it.expires >= today) {
                Some(waiver) => waived.push((finding, waiver)),
                None => kept.push(finding),
            }
        }
        let not_judged = kept.iter().any(|it| it.code == codes::NOT_JUDGED.name);
        let red = |finding: &Finding| finding.level == codes::Level::Error;
        let would_hide = not_judged && !kept.iter().any(red);
        for (finding, waiver) in waived {
            if would_hide && red(&finding) {
                let place = format!("{}:{}", self.path, waiver.line);
                applied.notes.push(format!(
                    "the waiver at {place} does not count: what comes after could not be judged"
                ));
                kept.insert(0, finding);
            } else {
                let (expires, reason) = (waiver.expires, &waiver.reason);
                applied.notes.push(format!("waived until {expires}: {} ({reason})", headline(&finding)));
            }
        }
        *findings = kept;
        findings.extend(self.waivers.iter().filter(|it| it.expires < today).map(|it| self.expired(it)));
        applied
    }

    /// The waivers that covered nothing in a run that judged everything that they speak of.
    pub(crate) fn unused(&self, applied: &Applied, judged: impl Fn(&str) -> bool) -> Vec<Finding> {
        let idle = self.waivers.iter().zip(&applied.used).filter(|(it, used)| !**used && judged(it.code));
        idle.map(|(it, _)| {
            self.idle(it.line, &format!("nothing is found any more that this waiver of `{}` covers", it.code))
        })
        .collect()
    }

    /// A table at `line` that nothing needs.
    pub(crate) fn idle(&self, line: u32, what: &str) -> Finding {
        Finding::new(&codes::WAIVER_UNUSED, what)
            .at(&self.path, line)
            .means("it would cover the next fault of this kind, which nobody has looked at")
            .fix("remove it")
    }

    fn expired(&self, waiver: &Waiver) -> Finding {
        let what =
            format!("the waiver of `{}` ended with {}: {}", waiver.code, waiver.expires, waiver.reason);
        Finding::new(&codes::WAIVER_EXPIRED, what)
            .at(&self.path, waiver.line)
            .means("what was put off until then is still to be done, and counts again")
            .fix("do what it was waiting for and remove it, or give it another day and say why")
    }

    fn parse(document: &Document) -> Result<Self, DocumentError> {
        let raw: Raw = document.parse()?;
        let mut waivers = Self { path: document.path.clone(), ..Self::default() };
        for raw in raw.waiver {
            waivers.waivers.push(waiver(document, raw)?);
        }
        for raw in raw.alternate {
            let line = document.line(&raw.span());
            let raw = raw.into_inner();
            reason(document, &raw.reason)?;
            let checksum = ledger::checksum(document, &raw.checksum)?;
            waivers.alternates.push(Alternate { version: raw.version, checksum, line });
        }
        for raw in raw.missing {
            reason(document, &raw.get_ref().reason)?;
            waivers
                .missing
                .push(Missing { version: raw.get_ref().version, line: document.line(&raw.span()) });
        }
        Ok(waivers)
    }
}

/// What became of the waivers in a run.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// One for each waiver, in the file's order.
    used: Vec<bool>,
    pub(crate) notes: Vec<String>,
}

impl Alternate {
    pub(crate) fn line(&self) -> u32 {
        self.line
    }
}

impl Missing {
    pub(crate) fn line(&self) -> u32 {
        self.line
    }
}

impl Waiver {
    /// Whether the finding is of the code and of everything else that the waiver names.
    fn covers(&self, finding: &Finding) -> bool {
        let file = finding.file.as_deref().map(Path::new);
        let in_file = |name: &str| file.is_some_and(|it| it.ends_with(name));
        let query = |name: &str| {
            let stem = file.and_then(Path::file_stem).map(|it| it.to_string_lossy().into_owned());
            stem.is_some_and(|it| {
                it.trim_start_matches("query-")
                    .starts_with(name.trim_start_matches("query-").trim_end_matches(".json"))
            })
        };
        let object = |name: &str| finding.what.contains(&format!("`{name}`"));
        finding.code == self.code
            && self.file.as_deref().is_none_or(in_file)
            && self.query.as_deref().is_none_or(query)
            && self.object.as_deref().is_none_or(object)
    }
}

fn waiver(document: &Document, raw: Spanned<RawWaiver>) -> Result<Waiver, DocumentError> {
    let span = raw.span();
    let raw = raw.into_inner();
    let name = raw.code.get_ref();
    let Some(code) = codes::find(name) else {
        let hint = did_you_mean(name, codes::CODES.iter().map(|it| it.name));
        let message = format!(
            "`code` is `{name}`, which the gate does not know{hint}; `migration-gate explain` lists all"
        );
        return Err(document.refuse(raw.code.span(), message));
    };
    if NEVER_WAIVED.contains(&code) {
        return Err(
            document.refuse(raw.code.span(), format!("`{name}` cannot be waived; do what the finding says"))
        );
    }
    if [&raw.file, &raw.query, &raw.object]
        .into_iter()
        .all(|it| it.as_ref().is_none_or(|it| it.trim().is_empty()))
    {
        let message = "a waiver covers what it names only: give `file`, `query` or `object`";
        return Err(document.refuse(span, message));
    }
    Ok(Waiver {
        code: code.name,
        file: raw.file,
        query: raw.query,
        object: raw.object,
        reason: reason(document, &raw.reason)?,
        expires: day(document, &raw.expires)?,
        line: document.line(&span),
    })
}

fn reason(document: &Document, reason: &Spanned<String>) -> Result<String, DocumentError> {
    let text = reason.get_ref().split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return Err(
            document.refuse(reason.span(), "`reason` is empty; say why this may be so, and who decided it")
        );
    }
    Ok(text)
}

fn day(document: &Document, expires: &Spanned<Datetime>) -> Result<Date, DocumentError> {
    let refuse = || {
        document.refuse(
            expires.span(),
            "`expires` is the last day that the waiver counts, such as 2027-01-31, without a time",
        )
    };
    let Datetime { date: Some(date), time: None, offset: None } = expires.get_ref() else {
        return Err(refuse());
    };
    let month = Month::try_from(date.month).map_err(|_| refuse())?;
    Date::from_calendar_date(date.year.into(), month, date.day).map_err(|_| refuse())
}

fn headline(finding: &Finding) -> String {
    let text = finding.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Waivers::parse(&Document::new(text, "migrations/waivers.toml")).unwrap_err().to_string()
    }

    fn waiver(change: (&str, &str)) -> String {
        "[[waiver]]\ncode = \"no-down\"\nfile = \"0004_tags.up.sql\"\nreason = \"data is gone\"\nexpires = 2999-12-31\n"
            .replace(change.0, change.1)
    }

    #[test]
    fn a_waiver_that_says_too_little_is_refused_with_its_line() {
        insta::assert_snapshot!(refused(&waiver(("reason = \"data is gone\"\n", ""))), @"migrations/waivers.toml:1: missing field `reason`");
        insta::assert_snapshot!(refused(&waiver(("data is gone", " "))), @"migrations/waivers.toml:4: `reason` is empty; say why this may be so, and who decided it");
        insta::assert_snapshot!(refused(&waiver(("file = \"0004_tags.up.sql\"\n", ""))), @"migrations/waivers.toml:1: a waiver covers what it names only: give `file`, `query` or `object`");
        insta::assert_snapshot!(refused(&waiver(("expires = 2999-12-31\n", ""))), @"migrations/waivers.toml:1: missing field `expires`");
    }

    #[test]
    fn a_code_that_does_not_exist_or_cannot_be_waived_is_refused() {
        insta::assert_snapshot!(refused(&waiver(("no-down", "no-donw"))), @"migrations/waivers.toml:2: `code` is `no-donw`, which the gate does not know; did you mean `no-down`?; `migration-gate explain` lists all");
        insta::assert_snapshot!(refused(&waiver(("no-down", "ledger-unproven"))), @"migrations/waivers.toml:2: `ledger-unproven` cannot be waived; do what the finding says");
        insta::assert_snapshot!(refused(&waiver(("file", "flie"))), @"migrations/waivers.toml:3: unknown field `flie`, expected one of `code`, `file`, `query`, `object`, `reason`, `expires`; did you mean `file`?");
    }

    #[test]
    fn a_day_that_no_calendar_has_is_refused() {
        insta::assert_snapshot!(refused(&waiver(("2999-12-31", "2999-02-30"))), @"migrations/waivers.toml:5: invalid date, expected day between 01 and 28");
        insta::assert_snapshot!(refused(&waiver(("2999-12-31", "\"soon\""))), @r#"migrations/waivers.toml:5: invalid type: string "soon", expected a TOML datetime"#);
        insta::assert_snapshot!(refused(&waiver(("2999-12-31", "2999-12-31T00:00:00Z"))), @"migrations/waivers.toml:5: `expires` is the last day that the waiver counts, such as 2027-01-31, without a time");
    }

    #[test]
    fn an_allowance_without_a_checksum_or_a_reason_is_refused() {
        insta::assert_snapshot!(refused("[[alternate]]\nversion = 2\nchecksum = \"abc\"\nreason = \"white space\"\n"), @"migrations/waivers.toml:3: `checksum` is not a sha384 in hex (96 digits); `sha384sum FILE` prints the one of a file");
        insta::assert_snapshot!(refused("[[missing]]\nversion = 2\n"), @"migrations/waivers.toml:1: missing field `reason`");
    }
}
