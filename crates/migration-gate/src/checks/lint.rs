//! `lint`: what the linter squawk has to say to pending files, where nothing that was executed has judged it.

use std::panic;

use squawk_linter::{Linter, Rule, Violation};
use squawk_syntax::SourceFile;

use crate::{
    Report,
    codes::{self, Level},
    files::MigrationFile,
    finding::Finding,
    plan::Plan,
    statements::line_at,
};

/// Everything else is style, or is judged by executing it.
const RULES: &[Rule] = &[
    Rule::RequireConcurrentIndexDeletion,
    Rule::RequireConcurrentPartitionDetach,
    Rule::BanTruncateCascade,
    Rule::BanDisableTrigger,
    Rule::BanReplicaIdentity,
];

/// Advice on each pending file; what the linter cannot read although the server could is said.
pub(crate) fn judge(plan: &Plan<'_>, report: &mut Report) {
    for step in &plan.pending {
        let Some(sql) = step.up.sql() else { continue };
        match lint(step.up, sql) {
            Ok(violations) => {
                report.findings.extend(violations.into_iter().map(|it| finding(step.up, sql, it)));
            }
            Err(line) if !refused(report, step.up) => {
                report.notes.push(format!(
                    "`{}:{line}` could not be linted: the linter does not know it",
                    step.up.path
                ));
            }
            Err(_) => {}
        }
    }
}

/// What breaks a rule; the first line that the linter cannot read, where there is one.
fn lint(up: &MigrationFile, sql: &str) -> Result<Vec<Violation>, u32> {
    // A parser that meets what nobody foresaw must not end the gate.
    panic::catch_unwind(|| {
        let parsed = SourceFile::parse(sql);
        if let Some(error) = parsed.errors().first() {
            return Err(line_of(sql, error.range().start().into()));
        }
        let mut linter = Linter::from(RULES.iter().copied());
        linter.settings.assume_in_transaction = !up.is_outside_transaction();
        let mut violations = linter.lint(&parsed, sql);
        violations.retain(|it| !is_executed(it, sql));
        Ok(violations)
    })
    .unwrap_or(Err(1))
}

/// What `FORCE ROW LEVEL SECURITY` hides, and from whom, shows when it runs.
fn is_executed(violation: &Violation, sql: &str) -> bool {
    let text = sql.get(usize::from(violation.text_range.start())..).unwrap_or_default();
    text.get(..5).is_some_and(|it| it.eq_ignore_ascii_case("force"))
}

fn finding(up: &MigrationFile, sql: &str, violation: Violation) -> Finding {
    let line = line_of(sql, violation.text_range.start().into());
    let rule = violation.code;
    Finding::new(&codes::LINT, format!("squawk says `{rule}`"))
        .at(&up.path, line)
        .means(sentence(&violation.message))
        .fix(format!(
            "{}; or `-- squawk-ignore {rule}` above the statement",
            violation.help.as_deref().map_or_else(|| "do without it".into(), sentence)
        ))
}

fn refused(report: &Report, up: &MigrationFile) -> bool {
    let in_it = |it: &&Finding| it.file.as_deref() == Some(up.path.as_str());
    report.stopped.is_some() || report.findings.iter().filter(in_it).any(|it| it.level == Level::Error)
}

/// As our findings are written: no capital, no full stop.
fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.into(),
    }
}

fn line_of(sql: &str, byte: usize) -> u32 {
    let before = sql.get(..byte).map_or(0, |it| it.chars().count());
    line_at(sql, before + 1)
}
