//! Regular expressions as CEL means them: RE2, in linear time.
//!
//! The crate `regex` agrees with RE2 but for some classes, such as `\d \w \s \b`, which RE2 keeps to
//! ASCII, and allows more. A pattern is rewritten to the first and checked for the second. Linear means time proportional to the text *and* to the states of the pattern, so these
//! are counted before anything is compiled.

use super::re2::{self, Differences};
use regex::RegexBuilder;
use regex_syntax::ast::{self, Ast, ClassSetItem, ErrorKind, RepetitionKind, RepetitionRange};

/// The largest program of a pattern in bytes: an upper bound beside the count of states, which is
/// an estimate.
const MAX_PROGRAM_BYTES: usize = 512 * 1024;

/// The most states of a pattern; it takes some milliseconds to compile so many. Every pattern that
/// people write has far less.
const MAX_STATES: u32 = 20_000;

/// How deep groups may be nested.
const MAX_NESTING: u32 = 50;

/// States of a class of Unicode, such as `\pL`: it is a small automaton over bytes.
const UNICODE_CLASS_STATES: u32 = 1_000;

/// States of what matches any character, most of which have several bytes.
const ANY_STATES: u32 = 10;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: regex::Regex,
    states: u32,
}

impl Pattern {
    /// Whether the pattern occurs in `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Steps of a budget that a search through a text of this length may be worth.
    pub(super) fn steps(&self, length: usize) -> usize {
        const WORK_PER_STEP: usize = 64;
        length.saturating_mul(self.states as usize) / WORK_PER_STEP
    }
}

/// A pattern that was read and measured, and not yet compiled.
pub(super) struct Parsed {
    pattern: String,
    tree: Ast,
    /// About how many states it has.
    pub states: u32,
}

impl Parsed {
    /// Reads a pattern and refuses one that is too large.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let pattern = re2::plain(pattern)?;
        let tree = ast::parse::ParserBuilder::new()
            .nest_limit(MAX_NESTING)
            .octal(true)
            .build()
            .parse(&pattern)
            .map_err(|error| match error.kind() {
                ErrorKind::FlagUnrecognized => {
                    "unknown flag: the flags are `i`, `m`, `s` and `U`".to_owned()
                }
                kind => kind.to_string(),
            })?;
        let states = states(&tree);
        if states > MAX_STATES {
            return Err("the pattern is too large".to_owned());
        }
        Ok(Self {
            pattern,
            tree,
            states,
        })
    }

    /// Compiles it.
    pub(super) fn compile(self) -> Result<Pattern, String> {
        let mut rewritten = String::with_capacity(self.pattern.len());
        let mut copied = 0;
        for (span, replacement) in ast::visit(&self.tree, Differences::in_pattern(&self.pattern))? {
            rewritten.push_str(&self.pattern[copied..span.start.offset]);
            rewritten.push_str(replacement);
            copied = span.end.offset;
        }
        rewritten.push_str(&self.pattern[copied..]);
        let regex = RegexBuilder::new(&rewritten)
            .octal(true)
            .size_limit(MAX_PROGRAM_BYTES)
            .dfa_size_limit(MAX_PROGRAM_BYTES)
            .nest_limit(MAX_NESTING * 2)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
                other => last_line(&other.to_string()),
            })?;
        Ok(Pattern {
            regex,
            states: self.states,
        })
    }
}

/// The crate's errors show the pattern over several lines; the last one says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// About how many states the automaton of a pattern has. The recursion is as deep as its groups.
fn states(tree: &Ast) -> u32 {
    let sum = |parts: &[Ast]| {
        parts
            .iter()
            .fold(1u32, |sum, part| sum.saturating_add(states(part)))
    };
    match tree {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Assertion(_) => 1,
        Ast::ClassPerl(class) if !class.negated => 2,
        Ast::Dot(_) | Ast::ClassPerl(_) => ANY_STATES,
        Ast::ClassUnicode(_) => UNICODE_CLASS_STATES,
        Ast::ClassBracketed(class) => {
            let base = if class.negated { ANY_STATES } else { 1 };
            base.saturating_add(match &class.kind {
                ast::ClassSet::Item(item) => item_states(item),
                ast::ClassSet::BinaryOp(_) => UNICODE_CLASS_STATES,
            })
        }
        Ast::Group(group) => states(&group.ast).saturating_add(2),
        Ast::Concat(concat) => sum(&concat.asts),
        Ast::Alternation(alternation) => sum(&alternation.asts),
        Ast::Repetition(repetition) => {
            let times = match &repetition.op.kind {
                RepetitionKind::Range(
                    RepetitionRange::Exactly(times) | RepetitionRange::Bounded(_, times),
                ) => *times,
                RepetitionKind::Range(RepetitionRange::AtLeast(times)) => times.saturating_add(1),
                _ => 1,
            };
            states(&repetition.ast)
                .saturating_add(1)
                .saturating_mul(times.max(1))
        }
    }
}

fn item_states(item: &ClassSetItem) -> u32 {
    match item {
        ClassSetItem::Unicode(_) | ClassSetItem::Bracketed(_) => UNICODE_CLASS_STATES,
        ClassSetItem::Union(union) => union
            .items
            .iter()
            .fold(0u32, |sum, item| sum.saturating_add(item_states(item))),
        ClassSetItem::Range(range) if !range.end.c.is_ascii() => ANY_STATES,
        _ => 1,
    }
}
