//! The header of a rule file: its `//! key: value` lines, each with its place.
//!
//! This file only takes the lines apart; what the values mean is in `keys`.

use std::ops::Range;

use super::located::{Level, Located, MAX_ERRORS_A_FILE};
use crate::{cel::comments_at, suggest::nearest};

/// Every key that a header may have, in the order of the reference page.
pub(super) const KEYS: [&str; 17] = [
    "rule",
    "kind",
    "from",
    "to",
    "tag",
    "class",
    "scan",
    "scanners",
    "soak",
    "approvals",
    "separate",
    "window",
    "message",
    "about",
    "owner",
    "link",
    "severity",
];

/// One `//! key: value` line. Spans are bytes of the file.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub key: &'static str,
    pub key_span: Range<usize>,
    /// Without surrounding space; never empty.
    pub value: &'a str,
    /// Where the value begins.
    pub value_start: usize,
}

/// A rule file taken apart.
#[derive(Debug)]
pub(super) struct SplitFile<'a> {
    pub entries: Vec<Entry<'a>>,
    /// From the first line that is neither header, comment nor blank; without trailing space.
    pub expression: &'a str,
    /// Where the expression begins.
    pub expression_start: usize,
}

/// Takes a file apart. `text` is without a byte order mark.
///
/// Header lines may be mixed with blank lines and comments, but all stand before the expression:
/// one further down would look like a key and be a comment, so it is refused.
pub(super) fn split_file<'a>(
    path: &str,
    text: &'a str,
    errors: &mut Vec<Located>,
) -> SplitFile<'a> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut expression_start = None;
    let mut late = Vec::new();
    let mut alike = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        // No more are shown, and each takes a look through the file.
        if errors.len() > MAX_ERRORS_A_FILE {
            break;
        }
        let content = line.trim();
        let start = offset + (line.len() - line.trim_start().len());
        offset += line.len();
        let span = start..start + content.len();
        alike.extend(like_header(content, start));
        match (content.strip_prefix("//!"), expression_start) {
            (Some(header), None) => {
                if let Some(entry) = parse_line(path, text, header, span, errors) {
                    add_entry(path, text, entry, &mut entries, errors);
                }
            }
            (Some(_), Some(_)) => late.push(span),
            (None, None) if !content.is_empty() && !content.starts_with("//") => {
                expression_start = Some(start);
            }
            _ => {}
        }
    }
    let expression_start = expression_start.unwrap_or(text.len());
    let expression = text.get(expression_start..).unwrap_or("").trim_end();
    // Within a text of several lines, `//!` is text.
    let places: Vec<usize> = late
        .iter()
        .map(|span| span.start - expression_start)
        .collect();
    let comments = late.into_iter().zip(comments_at(expression, &places));
    for (span, _) in comments.filter(|(_, is_comment)| *is_comment) {
        if errors.len() > MAX_ERRORS_A_FILE {
            break;
        }
        errors.push(Located::new(
            path,
            text,
            span,
            Level::Error,
            "header line below the expression",
            Some("move it to the top of the file, or write `//` for a comment".to_owned()),
        ));
    }
    warn_of_alike(path, text, expression_start, alike, errors);
    SplitFile {
        entries,
        expression,
        expression_start,
    }
}

/// Where a comment within a line begins that looks like a header line and is none, `///` or `// !`
/// before a key or `//!` behind something, and what the key and its value are.
fn like_header(line: &str, line_start: usize) -> Option<(usize, &str)> {
    let places = line.match_indices("//").map(|(at, _)| at);
    places
        .filter(|at| !(*at == 0 && line.starts_with("//!")))
        .find_map(|at| {
            let comment = line.get(at..)?;
            let entry = comment.trim_start_matches(['/', '!', ' ', '\t']);
            let marks = comment.len() - entry.len();
            let is_marked = comment.get(2..marks)?.contains(['/', '!']);
            let (key, value) = entry.split_once(':')?;
            let is_entry = KEYS.contains(&key.trim()) && !value.trim().is_empty();
            (is_marked && is_entry).then_some((line_start + at, entry))
        })
}

/// Warns of the comments that look like header lines. Within a text, such a thing is text; within a
/// comment, a part of it.
fn warn_of_alike(
    path: &str,
    text: &str,
    expression_start: usize,
    alike: Vec<(usize, &str)>,
    diagnostics: &mut Vec<Located>,
) {
    let expression = text.get(expression_start..).unwrap_or("");
    let begins_comment = |at: usize| match at.checked_sub(expression_start) {
        None | Some(0) => true,
        Some(at) => comments_at(expression, &[at - 1, at]) == [false, true],
    };
    for (at, entry) in alike.into_iter().filter(|(at, _)| begins_comment(*at)) {
        let end = at
            + text
                .get(at..)
                .and_then(|rest| rest.lines().next())
                .map_or(0, str::len);
        let help =
            format!("write `//! {entry}` at the top of the file, or only `//` for a comment");
        diagnostics.push(Located::new(
            path,
            text,
            at..end,
            Level::Warning,
            "this looks like a header line and is a comment",
            Some(help),
        ));
    }
}

/// The entry of one line; `header` is what follows `//!`, and ends where `span` ends.
fn parse_line<'a>(
    path: &str,
    text: &str,
    header: &'a str,
    span: Range<usize>,
    errors: &mut Vec<Located>,
) -> Option<Entry<'a>> {
    let mut refuse = |span: Range<usize>, message: String, help: Option<String>| {
        errors.push(Located::new(path, text, span, Level::Error, message, help));
    };
    let header_start = span.end - header.len();
    if header.trim().is_empty() {
        return None;
    }
    if let Some(at) = header.trim_end().find('\r') {
        let at = header_start + at;
        refuse(
            at..at + 1,
            "a carriage return within a line".to_owned(),
            Some("end each line with a line feed".to_owned()),
        );
        return None;
    }
    let Some((written_key, value)) = header.split_once(':') else {
        refuse(
            span,
            "expected `//! key: value`".to_owned(),
            Some("write `//` for a comment".to_owned()),
        );
        return None;
    };
    let word = written_key.trim();
    let key_start = header_start + (written_key.len() - written_key.trim_start().len());
    let key_span = key_start..key_start + word.len();
    let Some(key) = KEYS.into_iter().find(|key| *key == word) else {
        let help = match nearest(word, KEYS) {
            Some(near) => format!("did you mean `{near}`?"),
            None if word.contains(char::is_whitespace) => "write `//` for a comment".to_owned(),
            None => format!("keys are `{}`", KEYS.join("`, `")),
        };
        refuse(key_span, format!("unknown key `{word}`"), Some(help));
        return None;
    };
    let trimmed = value.trim();
    if trimmed.is_empty() {
        let help = match key {
            "from" => "write a pattern such as `dev/*`; only a deny rule can do without",
            "to" => "write a repository such as `staging/{1}`; only a deny rule can do without",
            _ => "leave the line out for the default",
        };
        refuse(
            key_span,
            format!("`{key}` has no value"),
            Some(help.to_owned()),
        );
        return None;
    }
    let value_start = span.end - value.len() + (value.len() - value.trim_start().len());
    Some(Entry {
        key,
        key_span,
        value: trimmed,
        value_start,
    })
}

fn add_entry<'a>(
    path: &str,
    text: &str,
    entry: Entry<'a>,
    entries: &mut Vec<Entry<'a>>,
    errors: &mut Vec<Located>,
) {
    let earlier = entries.iter().find(|earlier| earlier.key == entry.key);
    let Some(earlier) = earlier else {
        entries.push(entry);
        return;
    };
    let first_line = text
        .get(..earlier.key_span.start)
        .map_or(1, |before| before.matches('\n').count() + 1);
    let help = match entry.key {
        "from" => format!("first at line {first_line}; separate several patterns with commas"),
        "class" | "scanners" | "separate" => {
            format!("first at line {first_line}; separate several with commas")
        }
        "window" => format!("first at line {first_line}; separate several with `;`"),
        _ => format!("first at line {first_line}"),
    };
    errors.push(Located::new(
        path,
        text,
        entry.key_span,
        Level::Error,
        format!("key `{}` twice", entry.key),
        Some(help),
    ));
}
