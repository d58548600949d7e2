//! What is wrong with an expression, where, and what might have been meant.

use super::ast::Span;
use crate::suggest::nearest;
use serde::Serialize;
use std::fmt::Write;

/// At most so many errors are reported of one source: the first ones cause the rest.
const MAX_ERRORS: usize = 5;

/// Whether a diagnostic refuses the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The expression cannot be used.
    Error,
    /// The expression can be used, but probably does not say what was meant.
    Warning,
}

/// One thing that is wrong, at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it refuses the expression.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// Where, in bytes of the source.
    pub span: Span,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(super) fn error(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            span,
            help: None,
        }
    }

    pub(super) fn warning(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            message: message.into(),
            span,
            help: None,
        }
    }

    pub(super) fn with_help(mut self, help: impl Into<Option<String>>) -> Diagnostic {
        self.help = help.into();
        self
    }

    /// The diagnostic as text: `path:line:column: message`, the source line, and a caret under the
    /// place with the help beside it. Lines and columns count from 1, columns in characters.
    pub fn render(&self, path: &str, source: &str) -> String {
        let start = floor_boundary(source, self.span.start as usize);
        let end = floor_boundary(source, self.span.end as usize).max(start);
        let position = Position::of(source, start);
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = source[line_start..].lines().next().unwrap_or_default();
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        let mut text = format!(
            "{path}:{}:{}: {severity}{}\n",
            position.line, position.column, self.message
        );
        let gutter = position.line.to_string();
        let line_end = line_start + line.len();
        // Tabs stay tabs, so that the caret stands under its character at any tab width.
        let indent: String = source[line_start..start.min(line_end)]
            .chars()
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let marked = source[start.min(line_end)..end.clamp(start.min(line_end), line_end)]
            .chars()
            .count()
            .max(1);
        let _ = write!(
            text,
            "  {gutter} | {line}\n  {:width$} | {indent}{}",
            "",
            "^".repeat(marked),
            width = gutter.len()
        );
        if let Some(help) = &self.help {
            let _ = write!(text, " {help}");
        }
        text.push('\n');
        text
    }
}

/// A place as people count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Position {
    /// The position of the byte at `offset` of `source`.
    pub fn of(source: &str, offset: usize) -> Position {
        let before = &source[..floor_boundary(source, offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// The start of the character that the byte at `offset` belongs to.
fn floor_boundary(source: &str, offset: usize) -> usize {
    let mut at = offset.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Sorted by place, and the errors cut to the first few.
pub(super) fn arrange(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics
        .sort_by(|a, b| (a.span, a.severity, &a.message).cmp(&(b.span, b.severity, &b.message)));
    diagnostics.dedup();
    let mut errors = 0;
    diagnostics.retain(|diagnostic| {
        errors += usize::from(diagnostic.severity == Severity::Error);
        diagnostic.severity == Severity::Warning || errors <= MAX_ERRORS
    });
    diagnostics
}

/// `did you mean ...?` for the one of `candidates` that is closest to `name`, if one is close.
pub(super) fn suggest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|candidate| format!("did you mean '{candidate}'?"))
}
