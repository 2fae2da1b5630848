//! What nextest, rustc and rustdoc write about tests, read into findings with their places.

use crate::outcome::Finding;

/// How nextest marks a test that did not pass.
const MARKS: &[&str] = &["FAIL", "SIGABRT", "SIGSEGV", "SIGKILL", "SIGTERM", "TIMEOUT", "LEAK-FAIL", "ABORT"];
/// The line between what cargo says and what nextest says, and before nextest's summary.
const RULE: &str = "────────";

/// nextest lists what failed as `FAIL [   0.012s] ( 1/12) crate::binary test_name`, once as it happens and once in the end.
pub(super) fn failures(output: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for line in output.lines() {
        let line = line.trim_start();
        let Some(mark) = MARKS.iter().find(|it| line.starts_with(**it)) else { continue };
        let Some((_, name)) = line.split_once(']') else { continue };
        let name =
            name.trim_start().trim_start_matches(|c: char| "( /)".contains(c) || c.is_ascii_digit()).trim();
        if !name.is_empty() && !findings.iter().any(|it| it.message.ends_with(name)) {
            let fix = format!("cargo xtask test -- {}", name.split_whitespace().last().unwrap_or(name));
            let verb = if *mark == "TIMEOUT" { "timed out" } else { "failed" };
            let finding = Finding::error("test-failed", format!("{verb}: {name}")).fix(fix);
            findings.push(located(output, name, finding));
        }
    }
    findings
}

/// Where it failed: a snapshot names its `Source: FILE:LINE`, any other panic where it was raised.
fn located(output: &str, name: &str, finding: Finding) -> Finding {
    let test = name.split_whitespace().last().unwrap_or(name);
    let mark = format!("thread '{test}'");
    let short = test.rsplit("::").next().unwrap_or(test);
    let snapshot = output.lines().skip_while(|line| !line.contains("Snapshot: ") || !line.contains(short));
    let snapshot = snapshot.take(3).find_map(|line| line.trim().strip_prefix("Source: "));
    let panic = output.lines().find(|line| line.trim_start().starts_with(&mark));
    // `FILE:LINE:COLUMN:`
    let panic =
        panic.and_then(|line| line.split_once("panicked at ")).map(|(_, place)| place.trim_end_matches(':'));
    let panic = panic.and_then(|place| place.rsplit_once(':')).map(|(place, _)| place);
    match snapshot.or(panic).and_then(place) {
        Some((file, line)) => finding.at(file, line),
        None => finding,
    }
}

/// `FILE:LINE`, of a file in this workspace.
fn place(text: &str) -> Option<(&str, u32)> {
    let (file, line) = text.rsplit_once(':')?;
    (!file.starts_with('/')).then_some((file, line.parse().ok()?))
}

/// rustc's errors: `error[E0308]: what is wrong`, and on one of the next lines `--> FILE:LINE:COLUMN`.
pub(super) fn compile_errors(output: &str) -> Vec<Finding> {
    let lines: Vec<&str> = output.lines().collect();
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(said) = line.strip_prefix("error") else { continue };
        let Some((code, message)) = said.split_once(": ") else { continue };
        let arrow = lines[index + 1..].iter().take(3).find_map(|it| it.trim_start().strip_prefix("--> "));
        let Some((file, line)) = arrow.and_then(|it| it.rsplit_once(':')).and_then(|(it, _)| place(it))
        else {
            continue;
        };
        let code = code.trim_matches(['[', ']']);
        let finding = Finding::error(if code.is_empty() { "rustc" } else { code }, message).at(file, line);
        // A crate and its tests are compiled apart, and both say it.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

/// rustdoc heads what failed with `---- FILE - ITEM (line N) stdout ----`.
pub(super) fn doctests(output: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in output.lines() {
        let Some(head) = line.strip_prefix("---- ").and_then(|it| it.strip_suffix(" stdout ----")) else {
            continue;
        };
        let Some((file, item)) = head.split_once(" - ") else { continue };
        let number = item.rsplit_once("(line ").and_then(|(_, it)| it.trim_end_matches(')').parse().ok());
        let Some(number): Option<u32> = number else { continue };
        let item = item.split_once(" (line ").map_or("", |(it, _)| it);
        let finding = Finding::error(
            "doctest-failed",
            format!("doctest of {} failed", if item.is_empty() { file } else { item }),
        );
        findings.push(finding.at(file, number).fix("cargo test --doc --workspace"));
    }
    findings
}

/// What matters of a failure: nextest's own part where tests ran, without the tests that passed; else the compiler's.
pub(super) fn relevant(output: &str) -> String {
    let ran = output.lines().any(|it| it.trim_start().starts_with("Starting "));
    let from_nextest = output.lines().skip_while(|it| ran && !it.starts_with(RULE)).skip(usize::from(ran));
    let quiet = |line: &&str| {
        let line = line.trim_start();
        !["PASS [", "Compiling ", "Finished ", "Nextest run ID", "Starting "]
            .iter()
            .any(|it| line.starts_with(it))
    };
    from_nextest.filter(quiet).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(findings: &[Finding]) -> String {
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    const RAN: &str = "   Compiling tiny v1.0.0 (/x)
warning: unused
────────────
 Nextest run ID 7 with nextest profile: default
    Starting 3 tests across 1 binary
        PASS [   0.008s] (1/3) tiny tests::adds
        FAIL [   0.010s] (2/3) tiny more::fails
  stderr ───

    thread 'more::fails' (31121) panicked at crates/tiny/src/lib.rs:24:9:
    assertion `left == right` failed
        FAIL [   0.010s] (3/3) tiny more::elsewhere
  stderr ───

    thread 'more::elsewhere' (3) panicked at /root/.cargo/registry/src/x/lib.rs:1:2:
────────────
     Summary [   3.014s] 3 tests run: 1 passed, 2 failed, 0 skipped
        FAIL [   0.010s] (2/3) tiny more::fails
        FAIL [   0.010s] (3/3) tiny more::elsewhere
error: test run failed
";

    #[test]
    fn a_failed_test_has_the_place_of_its_panic_and_the_command_that_runs_it_alone() {
        insta::assert_snapshot!(shown(&failures(RAN)), @"
        crates/tiny/src/lib.rs:24: error[test-failed]
          failed: tiny more::fails
          fix: cargo xtask test -- more::fails
        error[test-failed]
          failed: tiny more::elsewhere
          fix: cargo xtask test -- more::elsewhere
        ");
    }

    #[test]
    fn what_matters_of_a_failure_begins_with_it() {
        insta::assert_snapshot!(relevant(RAN), @"
                FAIL [   0.010s] (2/3) tiny more::fails
          stderr ───

            thread 'more::fails' (31121) panicked at crates/tiny/src/lib.rs:24:9:
            assertion `left == right` failed
                FAIL [   0.010s] (3/3) tiny more::elsewhere
          stderr ───

            thread 'more::elsewhere' (3) panicked at /root/.cargo/registry/src/x/lib.rs:1:2:
        ────────────
             Summary [   3.014s] 3 tests run: 1 passed, 2 failed, 0 skipped
                FAIL [   0.010s] (2/3) tiny more::fails
                FAIL [   0.010s] (3/3) tiny more::elsewhere
        error: test run failed
        ");
    }

    #[test]
    fn tests_that_do_not_compile_have_rustcs_places() {
        let output = "   Compiling tiny v1.0.0
error[E0308]: mismatched types
  --> crates/tiny/src/lib.rs:25:18
   |
error: expected `;`
 --> crates/tiny/src/more.rs:3:1
error[E0308]: mismatched types
  --> crates/tiny/src/lib.rs:25:18
error: could not compile `tiny` (lib test) due to 2 previous errors
";
        insta::assert_snapshot!(shown(&compile_errors(output)), @"
        crates/tiny/src/lib.rs:25: error[E0308]
          mismatched types
        crates/tiny/src/more.rs:3: error[rustc]
          expected `;`
        ");
        assert!(relevant(output).starts_with("error[E0308]"));
    }

    #[test]
    fn a_doctest_has_its_place() {
        let output =
            "---- src/lib.rs - next (line 5) stdout ----\nx\n---- src/lib.rs - (line 1) stdout ----\n";
        insta::assert_snapshot!(shown(&doctests(output)), @"
        src/lib.rs:5: error[doctest-failed]
          doctest of next failed
          fix: cargo test --doc --workspace
        src/lib.rs:1: error[doctest-failed]
          doctest of src/lib.rs failed
          fix: cargo test --doc --workspace
        ");
    }
}
