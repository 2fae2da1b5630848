//! The value of a string literal, as the compiler reads it.

use proc_macro2::Literal;

/// The text of a string or raw string literal; nothing for any other literal, also one with a suffix.
pub(super) fn string(literal: &Literal) -> Option<String> {
    let source = literal.to_string();
    if let Some(raw) = source.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        return raw.get(hashes..)?.strip_prefix('"')?.strip_suffix(&end).map(Into::into);
    }
    unescaped(source.strip_prefix('"')?.strip_suffix('"')?)
}

fn unescaped(text: &str) -> Option<String> {
    let mut value = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        match rest.next()? {
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            '0' => value.push('\0'),
            same @ ('\\' | '\'' | '"') => value.push(same),
            'x' => {
                let digits: String = rest.by_ref().take(2).collect();
                value.push(char::from(u8::from_str_radix(&digits, 16).ok()?));
            }
            'u' => {
                let digits = rest.by_ref().take_while(|&it| it != '}').filter(|it| !matches!(it, '{' | '_'));
                value.push(char::from_u32(u32::from_str_radix(&digits.collect::<String>(), 16).ok()?)?);
            }
            // The line goes on below, without its indentation.
            '\n' => rest = rest.as_str().trim_start_matches([' ', '\n', '\r', '\t']).chars(),
            _ => return None,
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(source: &str) -> Option<String> {
        string(&source.parse().unwrap())
    }

    #[test]
    fn strings_are_read_as_the_compiler_reads_them() {
        assert_eq!(value(r#""SELECT \"a\"\n\t\x41\u{e9}\\ é""#).unwrap(), "SELECT \"a\"\n\tAé\\ é");
        assert_eq!(value("\"SELECT \\\n      1\"").unwrap(), "SELECT 1");
        assert_eq!(value("\"SELECT\n  1\"").unwrap(), "SELECT\n  1");
        assert_eq!(value(r##"r#"a "b" \n"#"##).unwrap(), r#"a "b" \n"#);
        assert_eq!(value("r\"a\"").unwrap(), "a");
        assert_eq!(value("\"\"").unwrap(), "");
    }

    #[test]
    fn other_literals_are_no_strings() {
        for other in ["b\"a\"", "c\"a\"", "1", "'a'", "\"a\"suffix", "br\"a\""] {
            assert_eq!(value(other), None, "{other}");
        }
    }
}
