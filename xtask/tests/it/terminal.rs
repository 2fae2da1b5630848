//! What a person sees in a terminal, and what a pipe and a runner's log get instead.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    project::{Project, Said},
    runs::{endless, until},
    screen::Screen,
};

const STEPS: &[&str] = &["ci", "fmt", "clippy"];

fn unformatted() -> Project {
    let project = endless();
    project.write("src/lib.rs", "//! Tiny.\n\nfn  unused( ) { }\n");
    project
}

fn said(project: &Project, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = project.command(arguments);
    command.env_remove("GITEA_ACTIONS").env_remove("GITHUB_ACTIONS").env("TERM", "xterm");
    command.envs(environment.iter().copied()).output().unwrap().into()
}

#[test]
fn a_green_run_leaves_its_lines_and_nothing_of_the_region() {
    let project = endless();
    let (code, left) = Screen::start(&project, STEPS, (80, 24), &[]).end();
    assert_eq!(code, 0, "{}", left.raw);
    let shown = project.masked(&left.lines.join("\n"));
    let mut lines: Vec<&str> = shown.lines().collect();
    // Side by side: whichever ends first is told first.
    lines[..2].sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @"
    clippy  ok         <time>
    fmt     ok         <time>

    green  2 passed  <time>
    ");
    assert_eq!(left.cursor.1, 0);
    for never in ["\u{1b}[?1049h", "\u{1b}[?25l"] {
        assert!(!left.raw.contains(never), "{:?}", left.raw);
    }
    assert!(left.coloured());
}

#[test]
fn a_running_step_is_shown_within_a_narrow_screen_and_ctrl_c_ends_with_a_clean_last_line() {
    let project = endless();
    let mut screen = Screen::start(&project, &["ci", "fmt", "clippy", "test"], (50, 20), &[]);
    until("the test", || fs::exists(project.root.join("started")).unwrap());
    let shown = screen.shows("2 of 3 done");
    let running = shown.lines().find(|it| it.starts_with("test    running    ")).unwrap();
    assert!(running.chars().count() < 50, "{running}");
    screen.press("\u{3}");
    let (code, left) = screen.end();
    assert_eq!(code, 130, "{}", left.raw);
    let last = left.lines.last().unwrap();
    assert!(last.starts_with("INTERRUPTED  2 passed, 1 cancelled  "), "{last}");
    assert!(!left.lines.iter().any(|it| it.contains("running")), "{:?}", left.lines);
    assert_eq!(left.cursor.1, 0);
    assert!(!left.cursor_hidden);
}

#[test]
fn a_killed_run_leaves_at_most_the_region_and_a_cursor_below_it() {
    let project = endless();
    let screen = Screen::start(&project, &["ci", "fmt", "clippy", "test"], (80, 20), &[]);
    until("the test", || fs::exists(project.root.join("started")).unwrap());
    screen.shows("2 of 3 done");
    let holder = fs::read_to_string(project.root.join("target/xtask/lock")).unwrap();
    let pid: i32 = holder.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let (_, left) = screen.end();
    let region: Vec<&String> = left.lines.iter().skip(2).collect();
    assert_eq!(region.len(), 2, "{:?}", left.lines);
    assert_eq!(left.cursor, (4, 0), "{:?}", left.lines);
    assert!(!left.cursor_hidden);
}

#[test]
fn a_failure_is_shown_whole_and_then_named_in_the_last_lines() {
    let project = unformatted();
    let (code, left) = Screen::start(&project, &["ci", "fmt"], (80, 24), &[]).end();
    assert_eq!(code, 1);
    insta::assert_snapshot!(project.masked(&left.lines.join("\n")), @"
    fmt  FAILED     <time>
        Diff in src/lib.rs:1:
         //! Tiny.

        -fn  unused( ) { }
        +fn unused() {}


    fmt failed
        log        target/xtask/logs/fmt.log
        reproduce  cargo xtask -C <root> ci fmt
        fix        cargo fmt --all
    RED  1 failed  <time>
    ");
}

#[test]
fn colour_stays_out_where_it_is_not_wanted_and_the_text_stays_the_same() {
    let project = unformatted();
    let screen =
        |environment: &[(&str, &str)]| Screen::start(&project, &["ci", "fmt"], (80, 24), environment).end().1;
    let coloured = screen(&[]);
    let plain = screen(&[("NO_COLOR", "1")]);
    assert!(coloured.coloured() && !plain.coloured(), "{:?}", plain.raw);
    let text = |lines: &[String]| project.masked(&lines.join("\n"));
    assert_eq!(text(&coloured.lines), text(&plain.lines));
    let dumb = screen(&[("TERM", "dumb")]);
    assert!(!dumb.raw.contains('\u{1b}'), "{:?}", dumb.raw);
    assert_eq!(text(&dumb.lines), text(&plain.lines));
}

#[test]
fn a_pipe_gets_no_escape_codes_unless_colour_is_forced() {
    let project = unformatted();
    assert!(!said(&project, &["ci", "fmt"], &[]).stdout.contains('\u{1b}'));
    let forced = said(&project, &["ci", "fmt"], &[("CLICOLOR_FORCE", "1")]).stdout;
    assert!(forced.contains("\u{1b}[1;31mFAILED"), "{forced}");
    let both = said(&project, &["ci", "fmt"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
    assert!(!both.stdout.contains('\u{1b}'));
}

#[test]
fn a_runners_log_has_findings_at_their_places_and_folded_logs() {
    let project = unformatted();
    let said = said(&project, &["ci", "clippy"], &[("GITEA_ACTIONS", "true")]);
    assert_eq!(said.code, 1);
    let commands: Vec<&str> = said.stdout.lines().filter(|it| it.starts_with("::")).collect();
    insta::assert_snapshot!(commands.join("\n"), @"
    ::error file=src/lib.rs,line=3,title=clippy%3A dead_code::function `unused` is never used
    ::group::log of clippy
    ::endgroup::
    ");
}

#[test]
fn the_output_comes_as_it_is_written_where_more_is_asked_for() {
    let project = endless();
    let said = said(&project, &["ci", "clippy", "--verbose"], &[]);
    assert_eq!(said.code, 0);
    // Before it cargo may have to say that it waits for another cargo.
    assert!(said.stdout.contains("clippy |     Checking tiny v1.0.0"), "{}", said.stdout);
}

#[test]
fn what_there_is_to_type_fits_one_screen() {
    let said = said(&endless(), &[], &[]);
    assert_eq!(said.code, 0);
    assert!(said.stdout.starts_with("cargo xtask: "), "{}", said.stdout);
    assert!(said.stdout.lines().count() < 60, "{}", said.stdout);
    assert!(said.stdout.lines().all(|it| it.chars().count() <= 80), "{}", said.stdout);
}

#[test]
fn bash_completes_steps_after_cargo_xtask() {
    let script = said(&endless(), &["completions", "bash"], &[]).stdout;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("xtask.bash"), script).unwrap();
    let asks = "source ./xtask.bash; COMP_WORDS=(cargo xtask ci cl); COMP_CWORD=3; _cargo_or_xtask cargo cl ci; echo ${COMPREPLY[@]}";
    let mut bash = std::process::Command::new("bash");
    let output = bash.args(["--norc", "-c", asks]).current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "clippy", "{output:?}");
}
