//! A file whose `EXCEPTION` handlers say what they catch. Only ever run where it is rolled back.

/// Begins the hint of what such a handler says.
const MARK: &str = "migration-gate";

/// What a handler tells of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Of its `WHEN`, from 1.
    pub(crate) line: u32,
    /// Whether it is `WHEN OTHERS`.
    pub(crate) takes_all: bool,
}

impl Told {
    /// Reads the hint of a notice; nothing where no such handler raised it.
    pub(crate) fn of(hint: &str) -> Option<Self> {
        let mut words = hint.strip_prefix(MARK)?.split_whitespace();
        let line = words.next()?.parse().ok()?;
        Some(Self { line, takes_all: words.any(|it| it.eq_ignore_ascii_case("others")) })
    }
}

/// `sql` with handlers that raise a warning first; nothing where it has none.
pub(crate) fn that_tell(sql: &str) -> Option<String> {
    let words = words(sql);
    let mut told = String::new();
    let mut copied = 0;
    let mut in_handlers = false;
    for (index, word) in words.iter().enumerate() {
        match word.text.to_ascii_lowercase().as_str() {
            "exception" => in_handlers = words.get(index + 1).is_some_and(|it| it.is("when")),
            "end" => in_handlers = false,
            "when" if in_handlers => {
                let Some(length) = conditions(&words[index + 1..]) else { continue };
                let then = &words[index + 1 + length];
                let names: Vec<_> = words[index + 1..index + 1 + length].iter().map(|it| it.text).collect();
                let line = sql[..word.at].matches('\n').count() + 1;
                told += &sql[copied..then.at + then.text.len()];
                // Its own dollar quotes: the body may be quoted in any other way.
                told += &format!(
                    " RAISE WARNING USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, HINT = $gate${MARK} {line} {}$gate$;",
                    names.join(" ")
                );
                copied = then.at + then.text.len();
            }
            _ => {}
        }
    }
    (copied > 0).then(|| told + &sql[copied..])
}

/// A run of letters, digits and underscores.
struct Word<'s> {
    at: usize,
    text: &'s str,
}

impl Word<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

fn words(sql: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in sql.char_indices().chain([(sql.len(), ' ')]) {
        if character.is_alphanumeric() || character == '_' {
            start.get_or_insert(at);
        } else if let Some(from) = start.take() {
            words.push(Word { at: from, text: &sql[from..at] });
        }
    }
    words
}

/// How many words the conditions before `THEN` take: names of errors, joined by `OR`.
fn conditions(words: &[Word<'_>]) -> Option<usize> {
    let length = words.iter().position(|it| it.is("then"))?;
    // `CASE WHEN` inside of a handler has operators and longer expressions; names of errors have an underscore.
    let is_condition = |it: &Word<'_>| {
        it.is("or") || it.is("others") || it.is("sqlstate") || it.text.contains('_') || it.text.len() == 5
    };
    (length > 0 && words[..length].iter().all(is_condition)).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handler_of_a_block_tells_and_a_case_does_not() {
        let sql = "DO $$\nBEGIN\n    RAISE EXCEPTION 'x';\nEXCEPTION\n    WHEN undefined_table OR sqlstate '42501' THEN NULL;\n    WHEN OTHERS THEN x := CASE WHEN a = 1 THEN 2 END;\nEND $$;";
        insta::assert_snapshot!(that_tell(sql).unwrap_or_default(), @r"
        DO $$
        BEGIN
            RAISE EXCEPTION 'x';
        EXCEPTION
            WHEN undefined_table OR sqlstate '42501' THEN RAISE WARNING USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, HINT = $gate$migration-gate 5 undefined_table OR sqlstate 42501$gate$; NULL;
            WHEN OTHERS THEN RAISE WARNING USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, HINT = $gate$migration-gate 6 OTHERS$gate$; x := CASE WHEN a = 1 THEN 2 END;
        END $$;
        ");
    }

    #[test]
    fn a_file_without_handlers_has_nothing_to_tell() {
        assert_eq!(that_tell("SELECT CASE WHEN a THEN 1 END; -- exception"), None);
    }

    #[test]
    fn a_hint_of_somebody_else_tells_nothing() {
        assert_eq!(Told::of("Use CASCADE."), None);
        assert_eq!(Told::of("migration-gate 7 x OR OTHERS"), Some(Told { line: 7, takes_all: true }));
    }
}
