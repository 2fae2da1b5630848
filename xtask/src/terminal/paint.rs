//! Colour: it repeats what the text says, and is left out wherever nobody would see it.

/// What a piece of text is, as far as colour goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    /// Something to look at that is no fault.
    Odd,
    /// Kept from an earlier run.
    Kept,
    Strong,
    Quiet,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Colours,
    None,
}

impl Paint {
    /// The text in its tone.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Odd => "1;33",
            Tone::Kept => "36",
            Tone::Strong => "1",
            Tone::Quiet => "2",
        };
        match self {
            Self::Colours if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.into(),
        }
    }
}
