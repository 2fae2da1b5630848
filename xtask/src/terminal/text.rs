//! Text as a terminal takes it: without control characters, and cut to a width that is counted in columns.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How many columns a text takes, without escape sequences in it.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// The text, or as much of it as fits with `…` at its end.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.into();
    }
    let mut left = columns.saturating_sub(1);
    let mut kept = String::new();
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        kept.push(c);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The text in lines that end within `columns`, broken between words; each stands after `indent` columns.
pub(crate) fn folded(text: &str, indent: usize, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line =
            lines.last_mut().filter(|it| it.is_empty() || indent + it.width() + 1 + word.width() <= columns);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(word.into()),
        }
    }
    lines
}

/// A line that a tool wrote, as a person would have seen it: the last state of a progress line, no colours, no
/// character that moves the cursor.
pub(crate) fn readable(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut kept = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut rest),
            '\t' => kept.push_str("    "),
            c if c.is_control() => {}
            c => kept.push(c),
        }
    }
    kept
}

/// The rest of an escape sequence: `[` to a letter, `]` to a bell or a backslash, or one character.
fn skip_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.next() {
        Some('[') => while rest.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        Some(']') => while rest.next().is_some_and(|c| c != '\u{7}' && c != '\\') {},
        // A character set: one character more.
        Some('(' | ')') => {
            rest.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_what_it_takes_on_the_screen() {
        assert_eq!(cut("clippy", 6), "clippy");
        assert_eq!(cut("clippy", 4), "cli…");
        assert_eq!(cut("構築中です", 6), "構築…");
        assert_eq!(columns(&cut("構築中です", 6)), 5);
        assert_eq!(cut("x", 0), "");
    }

    #[test]
    fn a_sentence_is_broken_between_words() {
        assert_eq!(folded("one two three", 2, 10), ["one two", "three"]);
        assert_eq!(folded("incomprehensibilities", 2, 10), ["incomprehensibilities"]);
        assert_eq!(folded("", 2, 10), [""]);
    }

    #[test]
    fn what_would_move_the_cursor_or_colour_the_screen_is_left_out() {
        assert_eq!(readable("\u{1b}[1;31merror\u{1b}[0m\u{1b}[2K: \tno\u{7}\n"), "error:     no");
        assert_eq!(readable("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\"), "link");
        assert_eq!(readable("10 %\r50 %\r100 %\r\n"), "100 %");
        assert_eq!(readable("ends in \u{1b}["), "ends in ");
    }
}
