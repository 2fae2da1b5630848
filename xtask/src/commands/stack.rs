//! `up` and `down`: the stack of the compose file.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use super::{
    gate::{Wanted, gate, lock},
    say, unusable,
};
use crate::{
    cli::{MessageFormat, UpArgs},
    compose::{self, NoReader, Options, Up, Volumes},
    context::Context,
    engine::{OnFailure, Policy},
    images::Wish,
    outcome::{EXIT_GREEN, StepError, Verdict},
    process::{Log, ProcessError},
    setup,
    steps::Step,
};

const OWN: &str = "compose.yaml";
const EXTERNAL: &str = "compose.external.yaml";
const OBSERVABILITY: &str = "compose.observability.yaml";

pub(super) fn up(cx: &Context, args: UpArgs) -> anyhow::Result<u8> {
    if args.setup {
        setup::run(cx, &["stack", "images"])?;
    }
    let typed = typed(&args);
    let mut files = if args.external { vec![EXTERNAL.into()] } else { args.file };
    if args.observability {
        files.push(OBSERVABILITY.into());
    }
    let options = Options {
        typed,
        files,
        services: args.services,
        scale: args.scale.into_iter().collect(),
        patience: Duration::from_secs(args.timeout),
        images: if args.no_build { Wish::AsTheyAre } else { Wish::OfTheSources },
    };
    let up = Up::read(cx, options).map_err(|error| {
        match error.is::<NoReader>() || error.is::<ProcessError>() {
            true => error,
            false => unusable(error),
        }
    })?;
    up.warnings.iter().for_each(|it| eprintln!("warning: {it}"));
    let format = args.message_format;
    let wanted = Wanted {
        command: compose::COMMAND,
        steps: up.steps(),
        // What a service needs is the stack's to know: what comes after a failure says so itself.
        on_failure: OnFailure::KeepGoing,
        format,
        detail: args.telling.detail(),
        setup: args.setup,
        verdicts: Policy::Leave,
        ..Wanted::step("images")
    };
    let run = gate(cx, wanted, &|step: &Step, cx: &Context, log: &Log| up.run(step, cx, log))?;
    // Data is on standard output, talk is not.
    match run.verdict {
        Verdict::Green if format == MessageFormat::Json => {
            say(&serde_json::json!({ "event": "ready", "lines": up.ready() }).to_string());
        }
        Verdict::Green => up.ready().iter().for_each(|line| say(line)),
        _ => up.left(cx).iter().for_each(|line| eprintln!("{line}")),
    }
    Ok(run.verdict.exit_code())
}

/// The command with what was typed behind it, but for how the run talks.
fn typed(args: &UpArgs) -> String {
    let mut words = vec![compose::COMMAND.to_owned()];
    words.extend(args.services.iter().cloned());
    if args.external {
        words.push("--external".into());
    } else if args.file != [PathBuf::from(OWN)] {
        words.extend(args.file.iter().map(|it| format!("--file {}", it.display())));
    }
    if args.observability {
        words.push("--observability".into());
    }
    words.extend(args.scale.iter().map(|(service, number)| format!("--scale {service}={number}")));
    if args.no_build {
        words.push("--no-build".into());
    }
    words.join(" ")
}

pub(super) fn down(cx: &Context, volumes: Volumes) -> anyhow::Result<u8> {
    let _lock = lock(cx)?;
    let path = cx.target().join("logs").join("down.log");
    let log = Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    compose::down(cx, &log, volumes).map_err(StepError::into_error)?.iter().for_each(|line| say(line));
    Ok(EXIT_GREEN)
}
