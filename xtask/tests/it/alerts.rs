//! The alert rules of `.config/prometheus`: each is raised by what it is for, and by nothing less.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the rules are kept in.
const FILES: [&str; 3] = ["prometheus.yml", "rules.yml", "rules.test.yml"];

/// Whether the tests of the rules pass, and what `promtool` said.
fn promtool(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("promtool").args(arguments).current_dir(directory).output().expect("promtool");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.config/prometheus")
}

#[test]
fn every_alert_is_raised_by_its_own_course_of_events_and_by_no_lesser_one() {
    let (sound, said) = promtool(&rules(), &["check", "config", "prometheus.yml"]);
    assert!(sound, "{said}");
    let (passed, said) = promtool(&rules(), &["test", "rules", "rules.test.yml"]);
    assert!(passed, "{said}");
    let tests = std::fs::read_to_string(rules().join("rules.test.yml")).unwrap();
    let rules = std::fs::read_to_string(rules().join("rules.yml")).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let asked = tests.contains(&format!("alertname: {alert}\n"));
        assert!(asked, "`{alert}` has no test in rules.test.yml");
    }
}

#[test]
fn a_threshold_that_is_moved_turns_the_tests_of_the_alerts_red() {
    for (holds, moved) in [
        ("absent(up{job=\"proxy\"})\n        for: 1m", "absent(up{job=\"proxy\"})\n        for: 3m"),
        (r#" or absent(up{job="proxy"})"#, ""),
        ("max by (kind) (slipway_jobs_dead)", "sum by (kind) (slipway_jobs_dead)"),
        ("> 0.05", "> 0.10"),
        (r#"status=~"5..", route!~"/health/.*""#, r#"status=~"5..""#),
        ("))) > 2", "))) > 4"),
        ("changes(ready[15m]) > 4", "changes(ready[15m]) > 8"),
        ("slipway_jobs_oldest_age_seconds) > 300", "slipway_jobs_oldest_age_seconds) > 100"),
        (">= on (job, instance) db_pool_connections_max", "> on (job, instance) db_pool_connections_max"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        for file in FILES {
            let text = std::fs::read_to_string(rules().join(file)).unwrap();
            let is_rules = file == "rules.yml";
            assert!(!is_rules || text.contains(holds), "`{holds}` is no rule any more");
            let text = if is_rules { text.replace(holds, moved) } else { text };
            std::fs::write(copy.path().join(file), text).unwrap();
        }
        let (passed, said) = promtool(copy.path(), &["test", "rules", "rules.test.yml"]);
        assert!(!passed, "`{moved}` passes: {said}");
    }
}

#[test]
fn the_rules_ask_for_figures_of_the_table_only() {
    let read = |file: &str| std::fs::read_to_string(rules().join(file)).unwrap();
    let table = read("README.md");
    let is_name = |it: &char| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == '_';
    let rules = read("rules.yml");
    // Only expressions: what people read may say anything.
    let lines = rules.lines().map(str::trim).filter(|line| !line.contains(": \"") && !line.starts_with('#'));
    let words = lines.flat_map(|line| line.split(|it| !is_name(&it)));
    let figures = words.filter(|it| {
        ["http_", "db_", "gateway_", "slipway_", "ready", "trace_", "process_"]
            .iter()
            .any(|p| it.starts_with(p))
    });
    let mut seen = 0;
    for figure in figures {
        seen += 1;
        let name = figure.trim_end_matches("_bucket");
        assert!(
            table.contains(&format!("| `{name}`")) || table.contains(&format!("| `{name}{{")),
            "`{figure}` is in no table"
        );
    }
    assert!(seen >= 10, "the rules ask for {seen} figures");
}
