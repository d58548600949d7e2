//! Diagnostics of rule files: what is wrong, in which file, line and column, and what to do.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// At most so many errors are shown of one file: the first ones cause the rest.
pub const MAX_ERRORS_A_FILE: usize = 5;

/// Characters that are shown of a source line: what most terminals have beside the line's number.
const MAX_SHOWN: usize = 120;

/// Characters that are shown before the place of a longer line.
const SHOWN_BEFORE: usize = 40;

/// Whether a diagnostic refuses the rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The rule set cannot be used.
    Error,
    /// The rule set can be used, but probably does not say what was meant.
    Warning,
}

/// One thing that is wrong at one place of one file.
///
/// Displayed as `path:line:column: message`, the source line, and a caret under the place with the
/// help beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Located {
    /// The file, as it was given.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Whether it refuses the rule set.
    pub level: Level,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line it is in.
    pub source_line: String,
    /// How many characters of that line are at fault; 1 where something is missing.
    pub marked: usize,
}

impl Located {
    /// A diagnostic for the bytes `span` of `text`, which is the whole file without a byte order
    /// mark. A span outside of the text is moved to its end.
    pub fn new(
        path: &str,
        text: &str,
        span: Range<usize>,
        level: Level,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end).max(start);
        let before = text.get(..start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let from_line = text.get(line_start..).unwrap_or("");
        let source_line = from_line.lines().next().unwrap_or("");
        let line_end = line_start + source_line.len();
        let marked = text.get(start..end.min(line_end)).unwrap_or("");
        Self {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            level,
            message: message.into(),
            help,
            source_line: source_line.to_owned(),
            marked: marked.chars().count().max(1),
        }
    }

    /// A diagnostic for a file as a whole, shown at its first line.
    pub fn of_file(path: &str, text: &str, message: impl Into<String>, help: &str) -> Self {
        Self::new(
            path,
            text,
            0..0,
            Level::Error,
            message,
            Some(help.to_owned()),
        )
    }

    /// Whether it refuses the rule set.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Located {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, .. } = self;
        let (path, message) = (tamed(&self.path), tamed(&self.message));
        let level = match self.level {
            Level::Error => "",
            Level::Warning => "warning: ",
        };
        writeln!(formatter, "{path}:{line}:{column}: {level}{message}")?;
        let width = line.to_string().len();
        let Excerpt {
            text,
            before,
            marked,
        } = Excerpt::of(self);
        writeln!(formatter, "  {line} | {text}")?;
        // Tabs stay tabs, so that the caret stands under its character at any tab width.
        let indent: String = text
            .chars()
            .take(before)
            .map(|character| if character == '\t' { '\t' } else { ' ' })
            .collect();
        write!(
            formatter,
            "  {:width$} | {indent}{}",
            "",
            "^".repeat(marked)
        )?;
        match &self.help {
            Some(help) => write!(formatter, " {}", tamed(help)),
            None => Ok(()),
        }
    }
}

/// What is shown of a source line: of a long one, what is around the place.
struct Excerpt {
    text: String,
    /// The characters of the text before the place.
    before: usize,
    /// The characters at fault that are shown.
    marked: usize,
}

impl Excerpt {
    fn of(located: &Located) -> Excerpt {
        let line = tamed(&located.source_line);
        let before = located.column.saturating_sub(1);
        let length = line.chars().count();
        let first = match length > MAX_SHOWN {
            true => before.saturating_sub(SHOWN_BEFORE).min(length - MAX_SHOWN),
            false => 0,
        };
        let mut text: String = line.chars().skip(first).take(MAX_SHOWN).collect();
        if first > 0 {
            text.insert(0, '…');
        }
        if length - first > MAX_SHOWN {
            text.push('…');
        }
        let shown_before = before - first;
        let room = MAX_SHOWN.saturating_sub(shown_before).max(1);
        Excerpt {
            text,
            before: shown_before + usize::from(first > 0),
            marked: located.marked.min(room),
        }
    }
}

/// A text of a rule's author as a terminal may have it: it moves no cursor, begins no line and turns
/// nothing around. As many characters as before, so that columns hold.
fn tamed(text: &str) -> String {
    let plain = text.chars().map(|character| match character {
        '\t' => '\t',
        character if character.is_control() => '\u{fffd}',
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        character => character,
    });
    plain.collect()
}

/// Why a rule set was refused: every error of every file, in the order of files and places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(transparent)]
pub struct RuleErrors {
    /// The errors; at least one.
    pub errors: Vec<Located>,
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n\n")?;
            }
            write!(formatter, "{error}")?;
        }
        Ok(())
    }
}

/// The start of the character that the byte at `offset` belongs to.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
