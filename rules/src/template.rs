//! Templates: the text of a target repository, a target tag or a message, with placeholders.
//!
//! `{tag}`, `{digest}`, `{short_digest}`, `{repository}` and `{name}` stand for the source;
//! `{1}`, `{2}`... for what the wildcards of the source pattern stood for; `{time:FORMAT}` for the
//! time of the deciding record, in UTC, in strftime symbols. `{{` and `}}` are braces.

use std::fmt::{self, Write as _};
use std::ops::Range;

use chrono::format::{Fixed, Item, Numeric, StrftimeItems};
use chrono::{DateTime, TimeZone as _, Utc};
use weir_schema::registry_in;

use crate::meet::Glyph;
use crate::pattern::RepositoryPattern;
use crate::suggest::nearest;

/// Hexadecimal digits in `{short_digest}`, as registries' and Docker's own tools show them.
const SHORT_DIGEST_LENGTH: usize = 12;

/// The longest tag that registries accept.
const MAX_TAG_LENGTH: usize = 128;

/// The longest repository name that registries accept.
const MAX_REPOSITORY_LENGTH: usize = 255;

/// Symbols of strftime, for suggestions; each is shown with what it gives.
const COMMON_SYMBOLS: &str = "common ones are %Y %m %d %H %M %S %j, %3f for milliseconds, %s";

/// Names of the placeholders that take no argument.
const NAMES: [&str; 5] = ["tag", "digest", "short_digest", "repository", "name"];

/// What the placeholders of a template stand for in one case.
#[derive(Clone, Copy, Debug)]
pub struct TemplateInput<'a> {
    /// The source tag.
    pub tag: &'a str,
    /// The digest being judged, with its algorithm.
    pub digest: &'a str,
    /// The source repository.
    pub repository: &'a str,
    /// What the wildcards of the source pattern stood for. A missing one renders as nothing,
    /// which cannot happen with as many captures as the template was parsed for.
    pub captures: &'a [String],
    /// Time of the deciding record.
    pub time: DateTime<Utc>,
}

/// A text with placeholders, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Tag,
    Digest,
    ShortDigest,
    Repository,
    Name,
    /// Counted from 0.
    Capture(usize),
    Time(Vec<Item<'static>>),
}

impl Template {
    /// Parses `text`, in which `{1}` to `{captures}` may be used.
    pub fn parse(text: &str, captures: usize) -> Result<Self, TemplateError> {
        let mut parser = Parser {
            captures,
            parts: Vec::new(),
            literal: String::new(),
        };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let at = text.len() - rest.len();
            if rest.starts_with("{{") || rest.starts_with("}}") {
                parser.literal.push(first);
                rest = rest.get(2..).unwrap_or("");
            } else if first == '{' {
                let Some(length) = rest.find('}') else {
                    return Err(TemplateError::Unclosed { at });
                };
                let inside = rest.get(1..length).unwrap_or("");
                parser.placeholder(inside, at)?;
                rest = rest.get(length + 1..).unwrap_or("");
            } else if first == '}' {
                return Err(TemplateError::LoneBrace { at });
            } else {
                parser.literal.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or("");
            }
        }
        parser.end_literal();
        if parser.parts.is_empty() {
            return Err(TemplateError::Empty);
        }
        Ok(Self {
            text: text.to_owned(),
            parts: parser.parts,
        })
    }

    /// The text with every placeholder replaced. The result may be no legal tag or repository
    /// name: that is for the caller to check.
    pub fn render(&self, input: &TemplateInput<'_>) -> String {
        let mut out = String::with_capacity(self.text.len() + 16);
        for part in &self.parts {
            match part {
                Part::Literal(literal) => out.push_str(literal),
                Part::Tag => out.push_str(input.tag),
                Part::Digest => out.push_str(input.digest),
                Part::ShortDigest => out.push_str(short_digest(input.digest)),
                Part::Repository => out.push_str(input.repository),
                Part::Name => out.push_str(last_part(input.repository)),
                Part::Capture(index) => {
                    out.push_str(input.captures.get(*index).map_or("", String::as_str));
                }
                Part::Time(items) => write_time(&mut out, input.time, items),
            }
        }
        out
    }

    /// Whether the result depends on when it is rendered.
    pub fn uses_time(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Time(_)))
    }

    /// Whether it gives the source tag as it is.
    pub fn is_source_tag(&self) -> bool {
        self.parts == [Part::Tag]
    }

    /// Whether the result depends on the source repository alone.
    pub fn uses_repository_only(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Literal(_) | Part::Repository | Part::Name | Part::Capture(_) => true,
            Part::Tag | Part::Digest | Part::ShortDigest | Part::Time(_) => false,
        })
    }

    /// The shape of what it may give for a source that `from` matches; wider where that is not known.
    pub(crate) fn shape(&self, from: &RepositoryPattern) -> Vec<Glyph> {
        let captures = from.capture_shapes();
        let part = |part: &Part| match part {
            Part::Literal(literal) => literal.chars().map(Glyph::Character).collect(),
            Part::Tag | Part::ShortDigest | Part::Name => {
                vec![Glyph::OneInPart, Glyph::SomeInPart]
            }
            Part::Repository => from.shape(),
            Part::Capture(index) => captures.get(*index).cloned().unwrap_or_default(),
            Part::Digest | Part::Time(_) => vec![Glyph::Some],
        };
        self.parts.iter().flat_map(part).collect()
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Refuses a template that gives a legal tag for no source at all.
    pub fn can_be_legal_tag(&self) -> Result<(), IllegalResult> {
        let mut least_length = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let fixed = match part {
                Part::Digest => return Err(IllegalResult::DigestInTag),
                Part::Repository => return Err(IllegalResult::RepositoryInTag),
                Part::Literal(literal) => literal.clone(),
                Part::Time(items) => sample_time(items),
                Part::Tag | Part::Name => {
                    least_length += 1;
                    continue;
                }
                Part::ShortDigest => {
                    least_length += SHORT_DIGEST_LENGTH;
                    continue;
                }
                Part::Capture(_) => continue,
            };
            for (place, character) in fixed.chars().enumerate() {
                let legal = match character {
                    'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => true,
                    '.' | '-' => index > 0 || place > 0,
                    _ => false,
                };
                if !legal && index == 0 && place == 0 && matches!(character, '.' | '-') {
                    return Err(IllegalResult::TagStart { character });
                }
                if !legal {
                    return Err(IllegalResult::TagCharacter { character });
                }
            }
            least_length += fixed.len();
        }
        if least_length > MAX_TAG_LENGTH {
            return Err(IllegalResult::TagTooLong { least_length });
        }
        Ok(())
    }

    /// Refuses a template that gives a legal repository name for no source at all.
    pub fn can_be_legal_repository(&self) -> Result<(), IllegalResult> {
        let host_length = self.literal_host_length();
        let mut least_length = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let fixed = match part {
                Part::Digest => return Err(IllegalResult::DigestInRepository),
                Part::Literal(literal) => literal.clone(),
                Part::Time(items) => sample_time(items),
                _ => continue,
            };
            for (place, character) in fixed.char_indices() {
                let in_host = index == 0 && place < host_length;
                let legal = match character {
                    'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/' => true,
                    ':' | '[' | ']' | 'A'..='Z' => in_host,
                    _ => false,
                };
                if !legal {
                    return Err(IllegalResult::RepositoryCharacter { character });
                }
            }
            let empty_part = fixed.contains("//")
                || (index == 0 && fixed.starts_with('/'))
                || (index + 1 == self.parts.len() && fixed.ends_with('/'));
            if empty_part {
                return Err(IllegalResult::EmptyRepositoryPart);
            }
            least_length += fixed.len();
        }
        if least_length > MAX_REPOSITORY_LENGTH {
            return Err(IllegalResult::RepositoryTooLong { least_length });
        }
        Ok(())
    }

    /// Length of the registry at the start, where it is written out.
    fn literal_host_length(&self) -> usize {
        let Some(Part::Literal(literal)) = self.parts.first() else {
            return 0;
        };
        registry_in(literal).map_or(0, str::len)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

struct Parser {
    captures: usize,
    parts: Vec<Part>,
    literal: String,
}

impl Parser {
    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            self.parts
                .push(Part::Literal(std::mem::take(&mut self.literal)));
        }
    }

    /// Adds the placeholder with `inside` between its braces, the first of which is at `at`.
    fn placeholder(&mut self, inside: &str, at: usize) -> Result<(), TemplateError> {
        let part = match inside {
            "tag" => Part::Tag,
            "digest" => Part::Digest,
            "short_digest" => Part::ShortDigest,
            "repository" => Part::Repository,
            "name" => Part::Name,
            _ => {
                if let Some(format) = inside.strip_prefix("time:") {
                    Part::Time(parse_time_format(format, at + "{time:".len())?)
                } else if inside == "time" {
                    return Err(TemplateError::TimeWithoutFormat { at });
                } else if !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_digit()) {
                    self.capture(inside, at)?
                } else {
                    return Err(TemplateError::UnknownPlaceholder {
                        at,
                        name: inside.to_owned(),
                    });
                }
            }
        };
        self.end_literal();
        self.parts.push(part);
        Ok(())
    }

    fn capture(&self, digits: &str, at: usize) -> Result<Part, TemplateError> {
        match digits.parse::<usize>() {
            Ok(number) if (1..=self.captures).contains(&number) => Ok(Part::Capture(number - 1)),
            _ => Err(TemplateError::NoSuchCapture {
                at,
                digits: digits.to_owned(),
                captures: self.captures,
            }),
        }
    }
}

/// Parses a strftime format symbol by symbol, so that an unknown one is refused at its place.
fn parse_time_format(format: &str, at: usize) -> Result<Vec<Item<'static>>, TemplateError> {
    if format.is_empty() {
        return Err(TemplateError::TimeWithoutFormat {
            at: at - "{time:".len(),
        });
    }
    let mut items = Vec::new();
    let mut offset = 0;
    while let Some(rest) = format.get(offset..).filter(|rest| !rest.is_empty()) {
        let length = if rest.starts_with('%') {
            symbol_length(rest)
        } else {
            rest.find('%').unwrap_or(rest.len())
        };
        let piece = rest.get(..length).unwrap_or(rest);
        for item in StrftimeItems::new(piece) {
            if matches!(item, Item::Error) || is_never_for_utc(&item) {
                return Err(TemplateError::UnknownTimeSymbol {
                    at: at + offset,
                    symbol: piece.to_owned(),
                });
            }
            items.push(item.to_owned());
        }
        offset += piece.len();
    }
    Ok(items)
}

/// Symbols that the date library parses but that mean nothing for a time in UTC.
fn is_never_for_utc(item: &Item<'_>) -> bool {
    matches!(
        item,
        Item::Fixed(Fixed::TimezoneOffsetTripleColon) | Item::Numeric(Numeric::Internal(_), _)
    )
}

/// Bytes of the strftime symbol at the start of `text`: `%`, modifiers, one letter.
fn symbol_length(text: &str) -> usize {
    let mut length = 0;
    for (index, character) in text.char_indices() {
        length = index + character.len_utf8();
        let modifier = matches!(character, '-' | '_' | '0'..='9' | '.' | ':' | '#');
        if index > 0 && !modifier {
            break;
        }
    }
    length
}

fn write_time(out: &mut String, time: DateTime<Utc>, items: &[Item<'static>]) {
    let formatted = time.format_with_items(items.iter());
    let length = out.len();
    if write!(out, "{formatted}").is_err() {
        // Cannot happen for items that were accepted; an empty time is visible, a panic is not.
        out.truncate(length);
    }
}

/// A rendered time: its characters are those of every other time with these items, or nearly.
fn sample_time(items: &[Item<'static>]) -> String {
    let mut out = String::new();
    // Two digits in every part, so that padding is not mistaken for an illegal space.
    if let Some(time) = Utc.with_ymd_and_hms(2021, 11, 22, 11, 44, 55).single() {
        write_time(&mut out, time, items);
    }
    out
}

fn short_digest(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..SHORT_DIGEST_LENGTH).unwrap_or(hex)
}

fn last_part(repository: &str) -> &str {
    repository
        .rsplit_once('/')
        .map_or(repository, |(_, last)| last)
}

/// Why a text is not a template. Places are byte offsets into the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing at all.
    #[error("empty template")]
    Empty,
    /// A brace that is opened only.
    #[error("`{{` without `}}`")]
    Unclosed {
        /// The brace.
        at: usize,
    },
    /// A brace that is closed only.
    #[error("`}}` without `{{`")]
    LoneBrace {
        /// The brace.
        at: usize,
    },
    /// No placeholder has this name.
    #[error("unknown placeholder `{{{name}}}`")]
    UnknownPlaceholder {
        /// The opening brace.
        at: usize,
        /// What is between the braces.
        name: String,
    },
    /// A capture beyond the wildcards of the source pattern.
    #[error("no wildcard for `{{{digits}}}`")]
    NoSuchCapture {
        /// The opening brace.
        at: usize,
        /// The number as written.
        digits: String,
        /// How many there are.
        captures: usize,
    },
    /// `{time}` or `{time:}`.
    #[error("`time` needs a format")]
    TimeWithoutFormat {
        /// The opening brace.
        at: usize,
    },
    /// Not a symbol of strftime.
    #[error("unknown time symbol `{symbol}`")]
    UnknownTimeSymbol {
        /// The percent sign.
        at: usize,
        /// The symbol as written.
        symbol: String,
    },
}

impl TemplateError {
    /// The bytes at fault, as a range of the text that was parsed.
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Empty => 0..0,
            Self::Unclosed { at } | Self::LoneBrace { at } => *at..at + 1,
            Self::UnknownPlaceholder { at, name } => *at..at + name.len() + 2,
            Self::NoSuchCapture { at, digits, .. } => *at..at + digits.len() + 2,
            Self::TimeWithoutFormat { at } => *at..at + "{time".len(),
            Self::UnknownTimeSymbol { at, symbol } => *at..at + symbol.len(),
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Empty => "`{tag}` keeps the tag as it is".to_owned(),
            Self::Unclosed { .. } => "write `{{` for a brace".to_owned(),
            Self::LoneBrace { .. } => "write `}}` for a brace".to_owned(),
            Self::UnknownPlaceholder { name, .. } => {
                match nearest(name, NAMES.into_iter().chain(["time:%Y%m%d-%H%M"])) {
                    Some(near) => format!("did you mean `{{{near}}}`?"),
                    None if name.starts_with("time") => "write `{time:%Y%m%d-%H%M}`".to_owned(),
                    None => "there are `{tag}`, `{digest}`, `{short_digest}`, `{repository}`, \
                             `{name}`, `{1}`..., `{time:%Y%m%d}`"
                        .to_owned(),
                }
            }
            Self::NoSuchCapture { digits, .. } if digits.bytes().all(|digit| digit == b'0') => {
                "captures are counted from `{1}`; `{repository}` is the whole name".to_owned()
            }
            Self::NoSuchCapture { captures: 0, .. } => {
                "`from` has a pattern without wildcards, so nothing is captured".to_owned()
            }
            Self::NoSuchCapture { captures: 1, .. } => {
                "`from` has a pattern with one wildcard, `{1}`".to_owned()
            }
            Self::NoSuchCapture { captures, .. } => {
                format!(
                    "`from` has a pattern with {captures} wildcards, `{{1}}` to `{{{captures}}}`"
                )
            }
            Self::TimeWithoutFormat { .. } => "write `{time:%Y%m%d-%H%M}`".to_owned(),
            Self::UnknownTimeSymbol { .. } => COMMON_SYMBOLS.to_owned(),
        }
    }
}

/// Why what a template gives can never be used, whatever the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalResult {
    /// `{digest}` has a colon.
    #[error("can never be a legal tag: `{{digest}}` has a colon; `{{short_digest}}` has none")]
    DigestInTag,
    /// `{repository}` has slashes.
    #[error("can never be a legal tag: `{{repository}}` has slashes; `{{name}}` has none")]
    RepositoryInTag,
    /// Tags begin with a letter, a digit or an underscore.
    #[error("can never be a legal tag: a tag cannot begin with `{character}`")]
    TagStart {
        /// The first character.
        character: char,
    },
    /// A character that no tag has.
    #[error(
        "can never be a legal tag: `{character}` is not among letters, digits, `_`, `.` and `-`"
    )]
    TagCharacter {
        /// The first such character.
        character: char,
    },
    /// More characters than registries accept.
    #[error(
        "can never be a legal tag: at least {least_length} characters, {MAX_TAG_LENGTH} are allowed"
    )]
    TagTooLong {
        /// What it cannot be shorter than.
        least_length: usize,
    },
    /// `{digest}` has a colon.
    #[error(
        "can never be a legal repository: `{{digest}}` has a colon; `{{short_digest}}` has none"
    )]
    DigestInRepository,
    /// A character that no repository name has.
    #[error("can never be a legal repository: `{character}` cannot be in a repository name")]
    RepositoryCharacter {
        /// The first such character.
        character: char,
    },
    /// Two slashes in a row, or one at an end.
    #[error("can never be a legal repository: a part of its path is empty")]
    EmptyRepositoryPart,
    /// More characters than registries accept.
    #[error(
        "can never be a legal repository: at least {least_length} characters, \
         {MAX_REPOSITORY_LENGTH} are allowed"
    )]
    RepositoryTooLong {
        /// What it cannot be shorter than.
        least_length: usize,
    },
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
