//! Repository patterns: which repositories a rule, hold or override speaks of.
//!
//! A pattern is matched with the *whole* canonical name of a repository. `*` stands for anything
//! within one path part, `**` for anything at all; everything else stands for itself. What each
//! wildcard stood for is captured, from left to right, for use as `{1}`, `{2}`... in templates.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use regex::Regex;
use weir_schema::registry_in;

use crate::meet::Glyph;

/// Wildcards in one pattern. Far more than any naming scheme has parts; it bounds the automaton.
const MAX_WILDCARDS: usize = 9;

/// Characters in one pattern: the longest repository name registries accept.
const MAX_LENGTH: usize = 255;

/// One repository pattern, such as `dev/*` or `registry.example.com/**`.
#[derive(Clone)]
pub struct RepositoryPattern {
    text: String,
    /// Anchored at both ends; one capture group for each wildcard. `None` for a plain name.
    regex: Option<Regex>,
    wildcards: usize,
    literal_prefix_length: usize,
}

impl RepositoryPattern {
    /// What the wildcards stand for in `name`, from left to right; `None` if it does not match.
    ///
    /// Where several readings are possible, each wildcard in turn takes as much as it can.
    pub fn captures(&self, name: &str) -> Option<Vec<String>> {
        if !name.starts_with(self.literal_prefix()) {
            return None;
        }
        let Some(regex) = &self.regex else {
            return (name == self.text).then(Vec::new);
        };
        let groups = regex.captures(name)?;
        Some(
            groups
                .iter()
                .skip(1)
                .map(|group| group.map_or_else(String::new, |found| found.as_str().to_owned()))
                .collect(),
        )
    }

    /// Whether the pattern covers the repository `name`.
    pub fn matches(&self, name: &str) -> bool {
        name.starts_with(self.literal_prefix())
            && match &self.regex {
                Some(regex) => regex.is_match(name),
                None => name == self.text,
            }
    }

    /// The number of wildcards, and so of captures.
    pub fn wildcards(&self) -> usize {
        self.wildcards
    }

    /// What every name that matches begins with: the key for an index over patterns.
    pub fn literal_prefix(&self) -> &str {
        self.text.get(..self.literal_prefix_length).unwrap_or("")
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The shape of the names that match.
    pub(crate) fn shape(&self) -> Vec<Glyph> {
        pieces(&self.text).iter().flat_map(Piece::shape).collect()
    }

    /// The shape of what each wildcard may stand for, from left to right.
    pub(crate) fn capture_shapes(&self) -> Vec<Vec<Glyph>> {
        pieces(&self.text)
            .iter()
            .filter(|piece| !matches!(piece, Piece::Literal(_)))
            .map(Piece::shape)
            .collect()
    }
}

impl FromStr for RepositoryPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_text(text)?;
        let mut expression = String::from("(?s)^");
        let mut wildcards = 0;
        for piece in pieces(text) {
            match piece {
                Piece::Literal(literal) => expression.push_str(&regex::escape(literal)),
                Piece::WholePart => expression.push_str("([^/]+)"),
                Piece::WithinPart => expression.push_str("([^/]*)"),
                Piece::Anything => expression.push_str("(.*)"),
            }
            wildcards += usize::from(!matches!(piece, Piece::Literal(_)));
        }
        expression.push('$');
        if wildcards > MAX_WILDCARDS {
            return Err(PatternError::TooManyWildcards { length: text.len() });
        }
        let regex = if wildcards == 0 {
            None
        } else {
            let compiled = Regex::new(&expression)
                .map_err(|_| PatternError::TooLong { length: text.len() })?;
            Some(compiled)
        };
        Ok(Self {
            literal_prefix_length: text.find('*').unwrap_or(text.len()),
            text: text.to_owned(),
            regex,
            wildcards,
        })
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for RepositoryPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RepositoryPattern({:?})", self.text)
    }
}

impl PartialEq for RepositoryPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RepositoryPattern {}

/// A part of a pattern that is matched in one way.
enum Piece<'a> {
    Literal(&'a str),
    /// `*` between two slashes: a path part is never empty.
    WholePart,
    /// `*` beside other text of its path part: may be empty.
    WithinPart,
    Anything,
}

impl Piece<'_> {
    fn shape(&self) -> Vec<Glyph> {
        match self {
            Piece::Literal(literal) => literal.chars().map(Glyph::Character).collect(),
            Piece::WholePart => vec![Glyph::OneInPart, Glyph::SomeInPart],
            Piece::WithinPart => vec![Glyph::SomeInPart],
            Piece::Anything => vec![Glyph::Some],
        }
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut before = None;
    while !rest.is_empty() {
        let (piece, length) = if rest.starts_with("**") {
            (Piece::Anything, 2)
        } else if let Some(after) = rest.strip_prefix('*') {
            let alone = matches!(before, None | Some('/'))
                && matches!(after.chars().next(), None | Some('/'));
            (
                if alone {
                    Piece::WholePart
                } else {
                    Piece::WithinPart
                },
                1,
            )
        } else {
            let length = rest.find('*').unwrap_or(rest.len());
            let literal = rest.get(..length).unwrap_or(rest);
            (Piece::Literal(literal), literal.len())
        };
        pieces.push(piece);
        let (taken, remaining) = rest.split_at(length);
        before = taken.chars().next_back();
        rest = remaining;
    }
    pieces
}

/// Refuses text that no repository name could ever match.
fn check_text(text: &str) -> Result<(), PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty { at: 0 });
    }
    if text.len() > MAX_LENGTH {
        return Err(PatternError::TooLong { length: text.len() });
    }
    if let Some(at) = text.find("***") {
        return Err(PatternError::ThreeStars { at });
    }
    let host_length = registry_in(text).map_or(0, str::len);
    for (at, character) in text.char_indices() {
        let in_host = at < host_length;
        let legal = match character {
            'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/' | '*' => true,
            ':' | '[' | ']' => in_host,
            'A'..='Z' if in_host => true,
            'A'..='Z' => return Err(PatternError::UpperCase { at, character }),
            _ => false,
        };
        if !legal {
            return Err(PatternError::IllegalCharacter { at, character });
        }
    }
    if text.starts_with('/') {
        return Err(PatternError::EmptyPart { at: 0 });
    }
    if let Some(at) = text.find("//") {
        return Err(PatternError::EmptyPart { at: at + 1 });
    }
    if text.ends_with('/') {
        return Err(PatternError::EmptyPart { at: text.len() - 1 });
    }
    Ok(())
}

/// Why a text is not a repository pattern. Places are byte offsets into the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing where a pattern should be.
    #[error("empty repository pattern")]
    Empty {
        /// Where it is missing.
        at: usize,
    },
    /// A character that no repository name has.
    #[error("`{character}` cannot be in a repository pattern")]
    IllegalCharacter {
        /// Where it is.
        at: usize,
        /// Which it is.
        character: char,
    },
    /// Repository names have no upper case.
    #[error("`{character}` matches nothing: repository names are lower case")]
    UpperCase {
        /// Where it is.
        at: usize,
        /// Which it is.
        character: char,
    },
    /// More than two stars in a row.
    #[error("`***` is not a wildcard")]
    ThreeStars {
        /// Where it begins.
        at: usize,
    },
    /// Two slashes in a row, or one at an end.
    #[error("empty path part: matches no repository")]
    EmptyPart {
        /// The slash at fault.
        at: usize,
    },
    /// More wildcards than captures can be named.
    #[error("more than {MAX_WILDCARDS} wildcards in one repository pattern")]
    TooManyWildcards {
        /// Length of the pattern in bytes.
        length: usize,
    },
    /// Longer than any repository name.
    #[error("repository pattern is longer than {MAX_LENGTH} characters")]
    TooLong {
        /// Length of the pattern in bytes.
        length: usize,
    },
}

impl PatternError {
    /// The bytes at fault, as a range of the text that was parsed.
    pub fn span(&self) -> Range<usize> {
        match *self {
            Self::Empty { at } => at..at,
            Self::IllegalCharacter { at, character } | Self::UpperCase { at, character } => {
                at..at + character.len_utf8()
            }
            Self::ThreeStars { at } => at..at + 3,
            Self::EmptyPart { at } => at..at + 1,
            Self::TooManyWildcards { length } | Self::TooLong { length } => 0..length,
        }
    }

    /// What to do about it, where that is not plain from the message.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Empty { .. } => Some("`**` stands for every repository".to_owned()),
            Self::IllegalCharacter {
                character: '{' | '}',
                ..
            } => Some("templates are for `to` and `tag`; use `*` or `**` here".to_owned()),
            Self::IllegalCharacter { character: ':', .. } => {
                Some("patterns match repositories; look at `tag.name` in the expression".to_owned())
            }
            Self::IllegalCharacter { character: '?', .. } => {
                Some("`*` stands for anything within one path part".to_owned())
            }
            Self::IllegalCharacter { character, .. } if character.is_whitespace() => {
                Some("separate patterns with commas".to_owned())
            }
            Self::UpperCase { character, .. } => {
                Some(format!("write `{}`", character.to_ascii_lowercase()))
            }
            Self::ThreeStars { .. } => {
                Some("`*` stands for anything within one path part, `**` for anything".to_owned())
            }
            Self::IllegalCharacter { .. }
            | Self::EmptyPart { .. }
            | Self::TooManyWildcards { .. }
            | Self::TooLong { .. } => None,
        }
    }

    fn moved_by(mut self, offset: usize) -> Self {
        match &mut self {
            Self::Empty { at }
            | Self::IllegalCharacter { at, .. }
            | Self::UpperCase { at, .. }
            | Self::ThreeStars { at }
            | Self::EmptyPart { at } => *at += offset,
            // These speak of a whole pattern; the start of the list is near enough.
            Self::TooManyWildcards { .. } | Self::TooLong { .. } => {}
        }
        self
    }
}

/// A comma-separated list of patterns; it covers what any of them covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPatterns(Vec<RepositoryPattern>);

impl RepositoryPatterns {
    /// Captures of the first pattern, in listed order, that matches `name`.
    pub fn captures(&self, name: &str) -> Option<Vec<String>> {
        self.0.iter().find_map(|pattern| pattern.captures(name))
    }

    /// Whether any pattern covers the repository `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// The captures that are there whichever pattern matches: what a template may use.
    pub fn least_wildcards(&self) -> usize {
        self.0
            .iter()
            .map(RepositoryPattern::wildcards)
            .min()
            .unwrap_or(0)
    }

    /// The patterns in listed order; there is at least one.
    pub fn as_slice(&self) -> &[RepositoryPattern] {
        &self.0
    }
}

impl FromStr for RepositoryPatterns {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let mut patterns = Vec::new();
        let mut offset = 0;
        for item in text.split(',') {
            let indent = item.len() - item.trim_start().len();
            let pattern = item
                .trim()
                .parse::<RepositoryPattern>()
                .map_err(|error| error.moved_by(offset + indent))?;
            patterns.push(pattern);
            offset += item.len() + 1;
        }
        Ok(Self(patterns))
    }
}

impl fmt::Display for RepositoryPatterns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(", ")?;
            }
            write!(formatter, "{pattern}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
