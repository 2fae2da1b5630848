//! `cargo xtask`: the gate, its set-up and its tools.
//!
//! Thin on purpose: what is heavy is a binary of its own in the workspace, which this one runs.

mod affected;
mod base;
mod bench;
mod budget;
mod cli;
mod commands;
mod completions;
mod compose;
mod config;
mod context;
mod crates;
mod dev_database;
mod doctor;
mod engine;
mod events;
mod history;
mod hooks;
mod images;
mod interrupt;
mod lock;
mod mask;
mod outcome;
mod overview;
mod podman;
mod process;
mod release;
mod report;
mod scratch;
mod services;
mod setup;
mod steps;
mod terminal;
mod tools;
mod verdict;
mod watchdog;
mod workflows;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(watchdog::ARGUMENT) {
        watchdog::watch();
        return ExitCode::SUCCESS;
    }
    let cli = cli::Cli::parse();
    ExitCode::from(commands::run(cli))
}
