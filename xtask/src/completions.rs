//! `completions SHELL`: what the shell offers after `cargo xtask`, from the command line itself.

use std::io::Write;

use clap::{CommandFactory as _, ValueEnum};
use clap_complete::generate;

use crate::{cli::Cli, steps::STEPS};

/// The shells that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Writes the shell's script: the completions of a program `xtask`, and how they are reached through `cargo`.
pub(crate) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let command = &mut Cli::command();
    let reach = match shell {
        Shell::Bash => {
            generate(clap_complete::Shell::Bash, command, "xtask", &mut script);
            include_str!("completions/reach.bash")
        }
        Shell::Fish => {
            generate(clap_complete::Shell::Fish, command, "xtask", &mut script);
            include_str!("completions/reach.fish")
        }
        Shell::Zsh => {
            generate(clap_complete::Shell::Zsh, command, "xtask", &mut script);
            include_str!("completions/reach.zsh")
        }
    };
    let steps: Vec<&str> = STEPS.iter().map(|it| it.name).collect();
    // Writing to memory cannot fail.
    write!(script, "\n{}", reach.replace("@STEPS@", &steps.join(" "))).ok();
    String::from_utf8_lossy(&script).into_owned()
}
