//! Escapes within texts, read before the parser reads them, whose errors show its internals.

use super::ast::Span;
use super::diagnostics::Diagnostic;
use super::scan::is_raw;

/// What is wrong with the first escape that is none, in the text whose quotes are from `start` to
/// `end`.
pub(super) fn wrong(source: &str, start: usize, end: usize) -> Option<Diagnostic> {
    let bytes = source.as_bytes();
    if is_raw(bytes, start) {
        return None;
    }
    let is_bytes = start > 0 && bytes[start - 1].eq_ignore_ascii_case(&b'b');
    let text = source.get(start..end)?;
    let mut at = 0;
    while let Some(length) = text.get(at..)?.find('\\') {
        at += length;
        let escape = Escape::read(text.get(at..)?)?;
        if let Some((message, help)) = escape.objection(is_bytes) {
            let place = Span {
                start: (start + at) as u32,
                end: (start + at + escape.written.len()) as u32,
            };
            return Some(Diagnostic::error(place, message).with_help(help));
        }
        at += escape.written.len();
    }
    None
}

/// A backslash with what belongs to it.
struct Escape<'a> {
    letter: char,
    written: &'a str,
    digits: &'a str,
    /// How many digits there should be, and to which base.
    wanted: (usize, u32),
}

impl<'a> Escape<'a> {
    /// Reads the escape at the start of `text`.
    fn read(text: &'a str) -> Option<Escape<'a>> {
        let letter = text.get(1..)?.chars().next()?;
        let wanted = match letter {
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => (3, 8),
            _ => (0, 10),
        };
        let (most, base) = wanted;
        // The first octal digit is the letter itself.
        let from = if base == 8 { 1 } else { 1 + letter.len_utf8() };
        let rest = text.get(from..)?;
        let length = rest
            .bytes()
            .take(most)
            .take_while(|byte| char::from(*byte).is_digit(base))
            .count();
        let end = (from + length).max(1 + letter.len_utf8());
        Some(Escape {
            letter,
            written: text.get(..end)?,
            digits: rest.get(..length)?,
            wanted,
        })
    }

    /// What is wrong with it, and what to write instead.
    fn objection(&self, in_bytes: bool) -> Option<(String, String)> {
        let Escape {
            letter,
            written,
            digits,
            wanted: (most, base),
        } = *self;
        if most == 0 {
            let is_known = "abfnrtv\\?\"'`".contains(letter);
            return (!is_known).then(|| {
                let message = format!("`{written}` is no escape");
                let help = format!(
                    "write `\\{written}`, or put an `r` before the text, in which a backslash is one"
                );
                (message, help)
            });
        }
        if digits.len() < most {
            let message = format!("`{written}` is no whole escape");
            let help = match base {
                8 => r"an octal escape has 3 digits, as in `\101`".to_owned(),
                _ => format!(
                    r"`\{letter}` takes {most} hexadecimal digits, as in `\{letter}{:0most$x}`",
                    0x41
                ),
            };
            return Some((message, help));
        }
        if in_bytes && matches!(letter, 'u' | 'U') {
            let message = format!("`{written}` has no meaning in bytes");
            let help = r"write each byte, as in `\x41`, or the character itself".to_owned();
            return Some((message, help));
        }
        let code = u32::from_str_radix(digits, base).unwrap_or(u32::MAX);
        char::from_u32(code).is_none().then(|| {
            let message = format!("`{written}` is no character");
            let help = r"a character beyond `\uffff` is one escape, as in `\U0001f600`".to_owned();
            (message, help)
        })
    }
}
