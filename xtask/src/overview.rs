//! What there is to type, on one screen: what `cargo xtask` alone says.

use clap::{Command, CommandFactory as _};

use crate::{cli::Cli, steps::STEPS, terminal::folded};

/// The commands by what people are after; what no group names comes last.
const GROUPS: &[(&str, &[&str])] = &[
    ("The gate", &["ci", "test", "explain", "log", "bench"]),
    ("This machine", &["doctor", "hooks", "completions"]),
    ("Database", &["db", "migrations"]),
    ("Images and releases", &["images", "up", "down", "release"]),
    ("The runner", &["workflows"]),
];
const REST: &str = "More";
/// Columns of a terminal that nobody made wider.
const WIDTH: usize = 80;
/// Columns of what is typed, before what it does.
const TYPED: usize = 26;

/// The overview, at most 80 columns wide.
pub(crate) fn overview() -> String {
    let mut cli = Cli::command();
    cli.build();
    let known = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let rest: Vec<&str> = commands(&cli).map(Command::get_name).filter(|it| !known(it)).collect();
    let about = cli.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("cargo xtask: {}\n", about.trim_end_matches('.'));
    for (title, names) in GROUPS.iter().copied().chain([(REST, rest.as_slice())]) {
        let lines: String =
            names.iter().filter_map(|it| cli.find_subcommand(it)).map(|it| entry(it, "")).collect();
        if !lines.is_empty() {
            text += &format!("\n{title}\n{lines}");
        }
    }
    let steps: Vec<&str> = STEPS.iter().map(|it| it.name).collect();
    text += &format!("\nSteps of `ci`: {}\n", below(&steps.join(" "), "Steps of `ci`: ".len()));
    text + "`cargo xtask COMMAND --help` says more; `-C DIR` works on another workspace.\n"
}

/// A command with what it does, and each of its own commands.
fn entry(command: &Command, before: &str) -> String {
    let name = format!("{before}{}", command.get_name());
    let own: String = commands(command).map(|it| entry(it, &format!("{name} "))).collect();
    if command.is_subcommand_required_set() {
        return own;
    }
    let arguments: String = command
        .get_positionals()
        .map(|it| {
            let value = it.get_value_names().and_then(<[_]>::first).map_or("", |it| it.as_str());
            let many = it.get_num_args().is_some_and(|it| it.max_values() > 1);
            let dots = if many { "…" } else { "" };
            if it.is_required_set() { format!(" {value}{dots}") } else { format!(" [{value}]{dots}") }
        })
        .collect();
    let typed = if arguments.len() + name.len() < TYPED { name + &arguments } else { name };
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    format!("  {typed:TYPED$}{}\n{own}", below(&about, TYPED + 2))
}

fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|it| it.get_name() != "help" && !it.is_hide_set())
}

/// The text on one line or more, the first one after `indent` columns and the rest below it.
fn below(text: &str, indent: usize) -> String {
    folded(text, indent, WIDTH).join(&format!("\n{:indent$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_there_once_and_the_screen_is_wide_enough() {
        let text = overview();
        for command in commands(&Cli::command()) {
            let begins = format!("  {} ", command.get_name());
            assert!(text.lines().any(|it| it.starts_with(&begins)), "{begins}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
