//! A terminal: finished lines stay and scroll, below them a region of what runs is redrawn in place.
//!
//! The cursor stands below the region, at the beginning of a line, whenever nothing is being written, and is never
//! hidden: whatever ends the run leaves a terminal that can be typed into.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::{
    board::Board,
    read_or_not, region, text,
    wording::{Detail, Wording},
};
use crate::{
    events::{Event, Listener, RunRecord},
    outcome::Status,
};

/// Whether something still runs that a region shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Region {
    Kept,
    Gone,
}

/// Writes to a terminal that understands cursor movements.
pub(crate) struct Live<W: Write> {
    out: W,
    wording: Wording,
    board: Board,
    drawn: Vec<String>,
    /// Set when the run was stopped and goes on: the screen is somebody else's by then.
    continued: Arc<AtomicBool>,
}

impl<W: Write> Live<W> {
    pub(crate) fn new(out: W, wording: Wording) -> Self {
        let continued = Arc::new(AtomicBool::new(false));
        // Without it a run that was stopped redraws over what the shell wrote; nothing else depends on it.
        signal_hook::flag::register(signal_hook::consts::SIGCONT, Arc::clone(&continued)).ok();
        Self { out, wording, board: Board::default(), drawn: Vec::new(), continued }
    }

    fn tell(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.board.on(event, Instant::now());
        self.wording.columns = Some(size().0);
        match event {
            Event::RunStarted { .. } => {
                self.wording.names = self.board.names;
                Ok(())
            }
            Event::StepOutput { step, line } if self.wording.detail == Detail::Verbose => {
                let line = self.wording.output(step, line);
                self.frame(&[line], Region::Kept)
            }
            Event::StepStarted { .. } => self.frame(&[], Region::Kept),
            Event::StepOutput { .. } | Event::StepWaiting { .. } | Event::StepResumed { .. } => Ok(()),
            Event::StepFinished { step, output } => {
                let lines = self.wording.step(step, *output);
                self.frame(&lines, Region::Kept)
            }
            Event::Tick => self.frame(&[], Region::Kept),
            Event::RunFinished { run } => {
                let lines = self.closing(run);
                self.frame(&lines, Region::Gone)
            }
        }
    }

    fn closing(&self, run: &RunRecord) -> Vec<String> {
        let never = run.steps.iter().filter(|it| it.status == Status::Cancelled && it.log.is_empty());
        let mut lines: Vec<String> = never.flat_map(|it| self.wording.step(it, None)).collect();
        lines.extend(self.wording.end(run));
        lines
    }

    /// Writes lines above the region, and the region anew where one is wanted, in one go.
    fn frame(&mut self, above: &[String], region: Region) -> io::Result<()> {
        let (columns, rows) = size();
        let next = if region == Region::Kept {
            let view = self.board.view(Instant::now());
            // Some terminals fold a line that fills the last column.
            region::lines(&view, columns.saturating_sub(1), rows, self.wording.paint)
        } else {
            Vec::new()
        };
        let continued = self.continued.swap(false, Ordering::Relaxed);
        if above.is_empty() && next == self.drawn && !continued {
            return Ok(());
        }
        let up = if continued { 0 } else { height(&self.drawn, columns) };
        let frame = frame(up, above, &next);
        self.drawn = next;
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Listener for Live<W> {
    fn on(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        read_or_not(self.tell(event))
    }
}

/// Where the run ends without its last event, the region goes with it.
impl<W: Write> Drop for Live<W> {
    fn drop(&mut self) {
        self.frame(&[], Region::Gone).ok();
    }
}

/// Up over the old region, then each line over what stood there, then nothing of the rest.
///
/// What goes above may take more than a row a line, so the old region is erased before it; the region's own lines are
/// written over the old ones, which does not flicker.
fn frame(up: usize, above: &[String], region: &[String]) -> String {
    let mut text = String::from("\r");
    if up > 0 {
        text += &format!("\u{1b}[{up}A");
    }
    if !above.is_empty() {
        text += "\u{1b}[J";
    }
    above.iter().for_each(|line| text += &format!("{line}\n"));
    region.iter().for_each(|line| text += &format!("\u{1b}[2K{line}\n"));
    text + "\u{1b}[J"
}

/// How many rows the drawn lines take on a screen that may have become narrower since.
fn height(drawn: &[String], columns: usize) -> usize {
    drawn.iter().map(|it| text::columns(&text::readable(it)).div_ceil(columns.max(1)).max(1)).sum()
}

/// Columns and rows of the terminal; the usual ones where it does not say.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_overwrites_the_old_region_and_ends_below_the_new_one() {
        let said = frame(2, &["fmt  ok".into()], &["clippy  running".into()]);
        insta::assert_snapshot!(said.replace('\u{1b}', "␛").replace('\r', "␍"), @"
        ␍␛[2A␛[Jfmt  ok
        ␛[2Kclippy  running
        ␛[J
        ");
    }

    #[test]
    fn a_region_that_a_narrower_screen_folds_is_counted_as_it_stands_there() {
        let drawn = vec!["x".repeat(80), "y".repeat(30), String::new()];
        assert_eq!(height(&drawn, 80), 3);
        assert_eq!(height(&drawn, 50), 4);
        assert_eq!(height(&drawn, 20), 7);
    }
}
