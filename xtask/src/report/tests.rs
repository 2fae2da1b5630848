//! The readable reports of a run that has one step of every kind.

use std::collections::BTreeMap;

use super::{Told, Waited, html, junit, markdown};
use crate::{
    events::{RunRecord, StepRecord},
    outcome::{Finding, Status, Verdict},
    steps::STEPS,
};

fn step(name: &str, status: Status, started_ms: u64, duration_ms: u64, reason: &str) -> StepRecord {
    let step = STEPS.iter().find(|it| it.name == name).unwrap();
    StepRecord {
        status,
        started_ms,
        duration_ms,
        reason: reason.into(),
        log: format!("target/xtask/logs/{name}.log"),
        ..StepRecord::waiting(step)
    }
}

pub(crate) fn run() -> RunRecord {
    let mut clippy = step("clippy", Status::Failed, 300, 61_000, "crates/store/src/lib.rs changed");
    clippy.waited_ms = 12_000;
    clippy.findings = vec![
        Finding::error("dead_code", "function `old` is never used").at("crates/store/src/lib.rs", 7),
        Finding::warning("over-budget", "took 1 min 01 s, may take 30 s"),
    ];
    RunRecord {
        schema: 1,
        command: "ci",
        commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
        dirty: true,
        verdict: Verdict::Red,
        started_at: "2026-11-21T09:00:00.000Z".into(),
        duration_ms: 62_345,
        findings: vec![Finding::warning("over-budget", "the run took 1 min 02 s, and may take 1 min 00 s")],
        steps: vec![
            step("fmt", Status::Passed, 0, 312, "rustfmt.toml changed"),
            step("house", Status::Cached, 0, 0, "same inputs"),
            clippy,
            step("test", Status::Cancelled, 0, 0, "`clippy` failed before"),
            step("sqlx", Status::Skipped, 0, 0, "no `.sqlx`: a < b | \"c\""),
            step("migrations", Status::Environment, 310, 40, "no scratch Postgres"),
        ],
    }
}

fn told(with: impl FnOnce(&Told<'_>) -> String) -> String {
    let outputs = BTreeMap::from([(
        "clippy",
        "error: function `old` is never used\n --> \u{1b}[1mcrates/store\u{1b}[0m <script>&amp;\n".to_owned(),
    )]);
    let on = "cargo's lock on the build directory".to_owned();
    let waits = BTreeMap::from([("clippy", vec![Waited { on, from_ms: 1_000, to_ms: Some(13_000) }])]);
    with(&Told { run: &run(), outputs: &outputs, waits: &waits, again: "cargo xtask ci" })
}

#[test]
fn junit_has_a_case_for_every_step() {
    insta::assert_snapshot!(told(|it| junit::report(it, None)), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="cargo xtask ci" tests="6" failures="1" errors="1" timestamp="2026-11-21T09:00:00.000Z" time="62.345">
        <testsuite name="steps" tests="6" failures="1" errors="1" skipped="2" time="62.345">
            <testcase classname="source" name="fmt" time="0.312"/>
            <testcase classname="source" name="house" time="0.000"/>
            <testcase classname="compile" name="clippy" time="61.000">
                <failure type="dead_code" message="function `old` is never used">error: function `old` is never used
     --&gt; crates/store &lt;script&gt;&amp;amp;</failure>
            </testcase>
            <testcase classname="compile" name="test" time="0.000">
                <skipped message="`clippy` failed before"/>
            </testcase>
            <testcase classname="database" name="sqlx" time="0.000">
                <skipped message="no `.sqlx`: a &lt; b | &quot;c&quot;"/>
            </testcase>
            <testcase classname="database" name="migrations" time="0.040">
                <error type="environment" message="no scratch Postgres"></error>
            </testcase>
        </testsuite>

    </testsuites>
    "#);
}

#[test]
fn junit_holds_the_tests_of_nextest_beside_the_steps() {
    let nextest = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"nextest-run\" tests=\"12\" failures=\"1\" errors=\"0\" uuid=\"x\" time=\"1.0\">\n    <testsuite name=\"store\" tests=\"12\">\n    </testsuite>\n</testsuites>\n";
    let report = told(|it| junit::report(it, Some(nextest)));
    let lines: Vec<&str> = report.lines().collect();
    insta::assert_snapshot!(lines[1], @r#"<testsuites name="cargo xtask ci" tests="18" failures="2" errors="1" timestamp="2026-11-21T09:00:00.000Z" time="62.345">"#);
    assert_eq!(report.matches("<testsuite ").count(), 2, "{report}");
    let broken = told(|it| junit::report(it, Some("<testsuites tests=\"1\"")));
    assert_eq!(broken, told(|it| junit::report(it, None)));
}

#[test]
fn the_summary_has_a_table_and_what_to_type() {
    insta::assert_snapshot!(told(|it| markdown::summary(it, 1 << 20)), @r#"
    ## ❌ red: `cargo xtask ci`

    1 passed, 1 cached, 1 failed, 1 could not be judged, 1 skipped, 1 cancelled · 1 min 02 s · `0123456789ab` with changes

    - **over-budget**: the run took 1 min 02 s, and may take 1 min 00 s


    | step | | took | waited | why |
    |---|---|--:|--:|---|
    | `fmt` | ✅ passed | 0.3 s |  | rustfmt.toml changed |
    | `house` | ✅ cached |  |  | same inputs |
    | `clippy` | ❌ **failed** | 1 min 01 s | 12.0 s | crates/store/src/lib.rs changed |
    | `test` | ⏹ cancelled |  |  | `clippy` failed before |
    | `sqlx` | ➖ skipped |  |  | no `.sqlx`: a &lt; b \| "c" |
    | `migrations` | ⚠️ **not judged** |  |  | no scratch Postgres |

    ### `clippy`: ❌ **failed**

    - **dead_code** `crates/store/src/lib.rs:7`: function `old` is never used
    - **over-budget**: took 1 min 01 s, may take 30 s

    <details><summary>output</summary>

    ```text
    error: function `old` is never used
     --> crates/store <script>&amp;
    ```

    </details>

    ```text
    cargo xtask ci clippy   # again
    cargo clippy --fix --allow-dirty --workspace --all-targets   # mends it
    ```

    ### `migrations`: ⚠️ **not judged**


    ```text
    cargo xtask ci migrations   # again
    ```
    "#);
}

#[test]
fn a_summary_that_would_get_too_large_says_where_the_rest_is() {
    let said = told(|it| markdown::summary(it, 900));
    assert!(said.len() < 1000, "{said}");
    insta::assert_snapshot!(said.lines().last().unwrap(), @"More does not fit here; `target/xtask/logs/clippy.log` has what `clippy` found.");
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_escapes_what_a_run_says() {
    let page = told(html::page);
    for outside in ["http://", "https://", "<script", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("&lt;script&gt;&amp;amp;"), "{page}");
}

#[test]
fn a_step_has_its_place_on_the_time_line() {
    let page = told(html::page);
    let bars: Vec<&str> = page.lines().filter(|it| it.contains("class=\"track\"")).collect();
    assert_eq!(bars.len(), 3);
    let (_, bar) = bars[1].split_once("<span class=\"track\">").unwrap();
    insta::assert_snapshot!(bar.split("</span>").next().unwrap(), @r#"<b class="bad" style="left:0.48%;width:97.84%" title="1 min 01 s after 0.3 s"></b><i class="wait" style="left:1.60%;width:19.25%" title="12.0 s waiting for cargo's lock on the build directory"></i>"#);
}
