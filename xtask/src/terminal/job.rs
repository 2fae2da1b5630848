//! What a Gitea or GitHub runner reads out of a job's log: groups that fold and findings at their places.
//!
//! Gitea keeps no annotations; its runner folds place and title into the log line. So what stands in a command also
//! stands in the log as text.

use crate::outcome::{Finding, Level};

pub(crate) fn group(title: &str) -> String {
    format!("::group::{}", data(title))
}

pub(crate) const END_GROUP: &str = "::endgroup::";

/// A finding as a command: `::error file=…,line=…,title=…::message`.
pub(crate) fn finding(step: &str, finding: &Finding) -> String {
    let command = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "notice",
    };
    let mut properties = Vec::new();
    if let Some(file) = &finding.file {
        properties.push(format!("file={}", property(file)));
        properties.extend(finding.line.map(|line| format!("line={line}")));
    }
    properties.push(format!("title={}", property(&format!("{step}: {}", finding.code))));
    let mut message = finding.message.clone();
    if let Some(fix) = &finding.fix {
        message += &format!("\nfix: {fix}");
    }
    format!("::{command} {}::{}", properties.join(","), data(&message))
}

/// A tool's line, unable to give the runner commands.
pub(crate) fn harmless(line: &str) -> String {
    let begins = line.trim_start();
    if begins.starts_with("::") || begins.starts_with("##[") { format!("| {line}") } else { line.into() }
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_carries_its_place_and_keeps_its_lines() {
        let found = Finding::error("dead_code", "100 % unused:\nremove it").at("src/a,b.rs", 7).fix("rm");
        insta::assert_snapshot!(finding("clippy", &found), @"::error file=src/a%2Cb.rs,line=7,title=clippy%3A dead_code::100 %25 unused:%0Aremove it%0Afix: rm");
        insta::assert_snapshot!(finding("house", &Finding::warning("slow", "late")), @"::warning title=house%3A slow::late");
    }

    #[test]
    fn a_tool_cannot_give_the_runner_commands() {
        assert_eq!(harmless("  ::set-env name=PATH::x"), "|   ::set-env name=PATH::x");
        assert_eq!(harmless("##[group]x"), "| ##[group]x");
        assert_eq!(harmless("std::io::Error"), "std::io::Error");
    }
}
