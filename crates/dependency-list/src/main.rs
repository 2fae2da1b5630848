//! The binary `dependency-list`: runs in the images' builder once everything is compiled.
#![expect(clippy::print_stderr, reason = "this is where the tool talks")]

use std::{path::PathBuf, process::ExitCode};

use dependency_list::embed;

const USAGE: &str = "usage: dependency-list --package NAME… --from FOLDER --to FOLDER";

/// What was typed.
#[derive(Debug, Default)]
struct Wanted {
    packages: Vec<String>,
    from: Option<PathBuf>,
    to: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(Wanted { packages, from: Some(from), to: Some(to) }) = typed(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match embed(".".as_ref(), &packages, &from, &to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}

fn typed(mut words: impl Iterator<Item = String>) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--package" => wanted.packages.push(value),
            "--from" => wanted.from = Some(value.into()),
            "--to" => wanted.to = Some(value.into()),
            _ => return None,
        }
    }
    (!wanted.packages.is_empty()).then_some(wanted)
}
