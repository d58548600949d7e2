//! A light scan of the source: where code is and where comments and texts are, which brackets
//! belong together, and how long the chains of operators are.
//!
//! It tells nothing about meaning. The parser reports one token for a node; this finds the rest of
//! what was written for it.

use super::ast::Span;
use super::diagnostics::Diagnostic;
use super::escape;

/// What the scan of a source found.
pub(super) struct Scan<'a> {
    source: &'a str,
    /// Whether each byte is code: not in a comment. Texts are code.
    code: Vec<bool>,
    /// The places of brackets that belong together.
    pairs: Vec<(u32, u32)>,
    unclosed: Option<u8>,
    longest_chain: Chain,
    deepest: Option<(u32, usize)>,
    separators: usize,
    /// The `&&` that stand in no brackets.
    outermost_ands: Vec<usize>,
}

/// Operators that follow one another, and where the last of them is.
#[derive(Clone, Copy, Default)]
struct Chain {
    length: usize,
    end: u32,
}

/// Whether each of `places` is in a comment of `source`. Of a source with a text that is not closed,
/// all are taken for it: it is refused anyway.
pub(crate) fn comments_at(source: &str, places: &[usize]) -> Vec<bool> {
    let scan = match places {
        [] => None,
        _ => Scan::of(source).ok(),
    };
    let is_comment = |at: &usize| scan.as_ref().is_none_or(|scan| !scan.is_code(*at));
    places.iter().map(is_comment).collect()
}

impl Scan<'_> {
    /// Scans `source`; a text that is not closed is an error with the place of its opening.
    pub(super) fn of(source: &str) -> Result<Scan<'_>, Diagnostic> {
        let bytes = source.as_bytes();
        let mut scan = Scan {
            source,
            code: vec![true; bytes.len()],
            pairs: Vec::new(),
            unclosed: None,
            longest_chain: Chain::default(),
            deepest: None,
            separators: 0,
            outermost_ands: Vec::new(),
        };
        // For each open bracket its place and the number of operators directly within it.
        let mut open: Vec<(u32, usize)> = vec![(0, 0)];
        let mut at = if source.starts_with('\u{feff}') { 3 } else { 0 };
        scan.code[..at].fill(false);
        while at < bytes.len() {
            match bytes[at] {
                b'/' if bytes.get(at + 1) == Some(&b'/') => {
                    let end = source[at..]
                        .find('\n')
                        .map_or(bytes.len(), |length| at + length);
                    scan.code[at..end].fill(false);
                    at = end;
                }
                b'"' | b'\'' => {
                    let end = end_of_text(bytes, at).ok_or_else(|| {
                        Diagnostic::error(
                            Span {
                                start: at as u32,
                                end: at as u32 + 1,
                            },
                            "this text is not closed",
                        )
                        .with_help(format!("a `{}` is missing", char::from(bytes[at])))
                    })?;
                    if let Some(diagnostic) = escape::wrong(source, at, end) {
                        return Err(diagnostic);
                    }
                    at = end;
                }
                b'`' => {
                    at = source[at + 1..]
                        .find('`')
                        .map_or(bytes.len(), |length| at + length + 2);
                }
                b'(' | b'[' | b'{' => {
                    count(&mut open, &mut scan.longest_chain, at);
                    open.push((at as u32, 0));
                    let depth = open.len() - 1;
                    if scan.deepest.is_none_or(|(_, deepest)| depth > deepest) {
                        scan.deepest = Some((at as u32, depth));
                    }
                    at += 1;
                }
                b')' | b']' | b'}' => {
                    if open.len() > 1
                        && let Some((start, _)) = open.pop()
                    {
                        scan.pairs.push((start, at as u32));
                    }
                    at += 1;
                }
                b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'?' | b'!' | b'<' | b'>' | b'=' => {
                    count(&mut open, &mut scan.longest_chain, at);
                    at += 1;
                }
                b'&' if bytes.get(at + 1) == Some(&b'&') => {
                    if open.len() == 1 {
                        scan.outermost_ands.push(at);
                    }
                    at += 2;
                }
                b',' => {
                    scan.separators += 1;
                    at += 1;
                }
                // `in` is an operator too.
                b'i' if word_at(bytes, at) == b"in" => {
                    count(&mut open, &mut scan.longest_chain, at);
                    at += 2;
                }
                byte if is_word(byte) => at += word_at(bytes, at).len().max(1),
                _ => at += 1,
            }
        }
        scan.unclosed = open
            .get(1..)
            .and_then(<[_]>::last)
            .map(|(start, _)| bytes[*start as usize]);
        Ok(scan)
    }

    /// Whether there is nothing but space and comments.
    pub(super) fn is_empty(&self) -> bool {
        self.whole().start == self.whole().end
    }

    /// From the first to the last byte that is code.
    pub(super) fn whole(&self) -> Span {
        let is_code = |(at, byte): (usize, u8)| {
            self.code.get(at) == Some(&true) && !byte.is_ascii_whitespace()
        };
        let first = self.source.bytes().enumerate().position(is_code);
        let last = self
            .source
            .bytes()
            .enumerate()
            .rev()
            .find(|place| is_code(*place));
        match (first, last) {
            (Some(first), Some((last, _))) => Span {
                start: first as u32,
                end: last as u32 + 1,
            },
            _ => Span::default(),
        }
    }

    /// How much code there is, and where it goes beyond `most`, if it does. White space between code
    /// counts, comments do not.
    pub(super) fn code_over(&self, most: usize) -> Option<(usize, Span)> {
        let whole = self.whole();
        let code = || (whole.start..whole.end).filter(|at| self.code[*at as usize]);
        let first_beyond = code().nth(most)?;
        Some((code().count(), byte_at(first_beyond)))
    }

    /// Where operators follow one another within one pair of brackets, if they are more than
    /// `most`.
    pub(super) fn chain_over(&self, most: usize) -> Option<Span> {
        (self.longest_chain.length > most).then(|| byte_at(self.longest_chain.end))
    }

    /// Where brackets are nested deepest, if that is deeper than `most`.
    pub(super) fn depth_over(&self, most: usize) -> Option<Span> {
        let (at, _) = self.deepest.filter(|(_, depth)| *depth > most)?;
        Some(byte_at(at))
    }

    /// How many commas there are: at least so many parts has the expression.
    pub(super) fn separators(&self) -> usize {
        self.separators
    }

    /// The places of the `&&` that stand in no brackets.
    pub(super) fn outermost_ands(&self) -> &[usize] {
        &self.outermost_ands
    }

    /// Whether a byte belongs to no comment.
    pub(super) fn is_code(&self, at: usize) -> bool {
        self.code.get(at) == Some(&true)
    }

    /// The text that begins at `start`, with its prefix and its quotes.
    pub(super) fn text_at(&self, start: usize) -> Option<&str> {
        let bytes = self.source.as_bytes();
        let prefix = word_at(bytes, start);
        if prefix.len() > 2 || !prefix.iter().all(|byte| b"rRbB".contains(byte)) {
            return None;
        }
        let quote = start + prefix.len();
        if !matches!(bytes.get(quote), Some(b'\'' | b'"')) {
            return None;
        }
        self.source.get(start..end_of_text(bytes, quote)?)
    }

    /// What to say of the innermost bracket that is not closed.
    pub(super) fn unclosed(&self) -> Option<String> {
        self.unclosed
            .map(|bracket| format!("a `{}` is not closed", char::from(bracket)))
    }

    /// The span widened until every bracket in it has its partner in it.
    pub(super) fn balanced(&self, mut span: Span) -> Span {
        loop {
            let before = span;
            for &(open, close) in &self.pairs {
                if (span.start..span.end).contains(&open) {
                    span.end = span.end.max(close + 1);
                }
                if (span.start..span.end).contains(&close) {
                    span.start = span.start.min(open);
                }
            }
            if span == before {
                return span;
            }
        }
    }

    /// The place of the name that follows the dot at `token`.
    pub(super) fn name_after(&self, token: Span) -> Span {
        let bytes = self.source.as_bytes();
        let mut start = token.start as usize;
        while start < bytes.len()
            && (!self.code[start]
                || matches!(bytes[start], b'.' | b'?')
                || bytes[start].is_ascii_whitespace())
        {
            start += 1;
        }
        let end = if bytes.get(start) == Some(&b'`') {
            self.source[start + 1..]
                .find('`')
                .map_or(bytes.len(), |length| start + length + 2)
        } else {
            start + word_at(bytes, start).len()
        };
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The place of the name before the opening bracket at `token`.
    pub(super) fn name_before(&self, token: Span) -> Span {
        let bytes = self.source.as_bytes();
        let mut end = token.start as usize;
        while end > 0 && (!self.code[end - 1] || bytes[end - 1].is_ascii_whitespace()) {
            end -= 1;
        }
        let mut start = end;
        while start > 0 && is_word(bytes[start - 1]) {
            start -= 1;
        }
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The span with the minus sign before it.
    pub(super) fn with_sign(&self, span: Span) -> Span {
        self.with_prefix(span, b'-')
    }

    /// The span with the dot before it.
    pub(super) fn with_leading_dot(&self, span: Span) -> Span {
        self.with_prefix(span, b'.')
    }

    fn with_prefix(&self, span: Span, prefix: u8) -> Span {
        let bytes = self.source.as_bytes();
        let mut start = span.start as usize;
        while start > 0 && (!self.code[start - 1] || bytes[start - 1].is_ascii_whitespace()) {
            start -= 1;
        }
        if start > 0 && bytes[start - 1] == prefix {
            Span {
                start: start as u32 - 1,
                end: span.end,
            }
        } else {
            span
        }
    }

    /// The text at `span` without comments, its white space folded to single spaces.
    pub(super) fn folded(&self, span: Span) -> String {
        let mut folded = String::new();
        let mut in_text_until = 0;
        let mut space = false;
        for (offset, character) in span.text(self.source).char_indices() {
            let at = span.start as usize + offset;
            if at >= in_text_until {
                if !self.code[at] {
                    space = true;
                    continue;
                }
                if character.is_whitespace() {
                    space = true;
                    continue;
                }
                if matches!(character, '"' | '\'') {
                    in_text_until = end_of_text(self.source.as_bytes(), at).unwrap_or(at);
                }
            }
            if std::mem::take(&mut space) && !folded.is_empty() {
                folded.push(' ');
            }
            folded.push(character);
        }
        folded
    }
}

fn count(open: &mut [(u32, usize)], longest: &mut Chain, at: usize) {
    if let Some((_, operators)) = open.last_mut() {
        *operators += 1;
        if *operators > longest.length {
            *longest = Chain {
                length: *operators,
                end: at as u32,
            };
        }
    }
}

fn byte_at(at: u32) -> Span {
    Span {
        start: at,
        end: at + 1,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The letters, digits and underscores from `at`.
fn word_at(bytes: &[u8], at: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| !is_word(*byte))
        .unwrap_or(rest.len());
    &rest[..length]
}

/// Whether the text that begins at `start` takes backslashes for what they are.
pub(super) fn is_raw(bytes: &[u8], start: usize) -> bool {
    let prefix = &bytes[start.saturating_sub(2)..start];
    let is =
        |byte: Option<&u8>, letter: u8| byte.is_some_and(|byte| byte.eq_ignore_ascii_case(&letter));
    is(prefix.last(), b'r') || (is(prefix.last(), b'b') && is(prefix.first(), b'r'))
}

/// The byte after the text whose first quote is at `start`; `None` if it is not closed.
fn end_of_text(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = *bytes.get(start)?;
    let raw = is_raw(bytes, start);
    let triple = bytes.get(start..start + 3) == Some(&[quote; 3]);
    let mut at = start + if triple { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if !raw => at += 2,
            b'\n' if !triple => return None,
            byte if *byte == quote && !triple => return Some(at + 1),
            byte if *byte == quote && bytes.get(at..at + 3) == Some(&[quote; 3]) => {
                return Some(at + 3);
            }
            _ => at += 1,
        }
    }
    None
}
