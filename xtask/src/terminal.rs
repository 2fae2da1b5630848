//! The run for people and for programs, as it happens: a live region, plain lines, a runner's log, or JSON.

mod board;
mod form;
mod job;
mod lines;
mod live;
mod paint;
mod region;
mod text;
mod wording;

use std::io::{self, Write};

pub(crate) use text::{folded, readable};
pub(crate) use wording::{Detail, again, counts, took};

use crate::{
    cli::MessageFormat,
    context::Context,
    events::{Event, Listener},
};
use form::{Form, Surroundings};
use lines::Lines;
use live::Live;
use wording::Wording;

/// The listener that talks, by what was asked for and where standard output goes.
pub(crate) fn listener(cx: &Context, asked: MessageFormat, detail: Detail) -> Box<dyn Listener> {
    let here = Surroundings::here();
    let wording = Wording::new(cx.again(), here.paint(), detail);
    match here.form(asked) {
        Form::Live => Box::new(Live::new(io::stdout(), wording)),
        Form::Lines => Box::new(Lines::new(io::stdout(), wording, lines::Groups::None)),
        Form::Job => Box::new(Lines::new(io::stdout(), wording, lines::Groups::Folded(cx.root.clone()))),
        Form::Json => Box::new(Json { out: io::stdout(), detail }),
    }
}

/// Writes each event as one line of JSON, but for the ticks; what tools write only where more detail is wanted.
struct Json<W> {
    out: W,
    detail: Detail,
}

impl<W: Write> Listener for Json<W> {
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        let wanted = match event {
            Event::Tick => false,
            Event::StepOutput { .. } => self.detail == Detail::Verbose,
            _ => true,
        };
        if !wanted {
            return Ok(());
        }
        let line = serde_json::to_string(event)?;
        read_or_not(writeln!(self.out, "{line}").and_then(|()| self.out.flush()))
    }
}

/// Whoever stopped reading does not stop the run: its verdict stands in the report.
fn read_or_not(told: io::Result<()>) -> anyhow::Result<()> {
    match told {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => Ok(told?),
    }
}
