//! Regular expressions as CEL means them: RE2, in linear time.
//!
//! The crate `regex` agrees with RE2 but for the classes `\d \w \s \b`, which RE2 keeps to ASCII,
//! and for what it allows inside brackets. A pattern is rewritten to the first and checked for the
//! second.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{
    self, Ast, ClassPerl, ClassPerlKind, ClassSetBinaryOp, ClassSetItem, Span, Visitor,
};

/// The largest program of a pattern in bytes. It bounds the time to compile one (about 10 ms) and
/// lets pass every pattern that people write, Unicode classes included.
const MAX_PROGRAM_BYTES: usize = 512 * 1024;

/// How deep groups may be nested.
const MAX_NESTING: u32 = 50;

/// Compiles `pattern`; the error says what is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let tree = ast::parse::ParserBuilder::new()
        .nest_limit(MAX_NESTING)
        .build()
        .parse(pattern)
        .map_err(|error| error.kind().to_string())?;
    let mut rewritten = String::with_capacity(pattern.len());
    let mut copied = 0;
    for (span, replacement) in ast::visit(&tree, Differences::default())? {
        rewritten.push_str(&pattern[copied..span.start.offset]);
        rewritten.push_str(replacement);
        copied = span.end.offset;
    }
    rewritten.push_str(&pattern[copied..]);
    RegexBuilder::new(&rewritten)
        .size_limit(MAX_PROGRAM_BYTES)
        .dfa_size_limit(MAX_PROGRAM_BYTES)
        .nest_limit(MAX_NESTING * 2)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            other => last_line(&other.to_string()),
        })
}

/// The crate's errors show the pattern over several lines; the last one says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Finds where the crate's meaning differs from RE2's.
#[derive(Default)]
struct Differences {
    replacements: Vec<(Span, &'static str)>,
}

impl Visitor for Differences {
    type Output = Vec<(Span, &'static str)>;
    type Err = String;

    fn finish(mut self) -> Result<Self::Output, String> {
        self.replacements.sort_by_key(|(span, _)| span.start.offset);
        Ok(self.replacements)
    }

    fn visit_pre(&mut self, node: &Ast) -> Result<(), String> {
        match node {
            Ast::ClassPerl(class) => self.replacements.push((class.span, ascii(class))),
            Ast::Assertion(assertion) => match assertion.kind {
                ast::AssertionKind::WordBoundary => {
                    self.replacements.push((assertion.span, r"(?-u:\b)"));
                }
                ast::AssertionKind::NotWordBoundary => {
                    self.replacements.push((assertion.span, r"(?-u:\B)"));
                }
                ast::AssertionKind::StartLine
                | ast::AssertionKind::EndLine
                | ast::AssertionKind::StartText
                | ast::AssertionKind::EndText => {}
                _ => return Err("this kind of word boundary is not part of RE2".to_owned()),
            },
            Ast::Repetition(repetition) if matches!(*repetition.ast, Ast::Repetition(_)) => {
                return Err("a repetition of a repetition is put in `( )`".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Perl(class) => self.replacements.push((class.span, ascii(class))),
            ClassSetItem::Bracketed(_) => {
                return Err(r"a bracket within brackets is written `\[`".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), String> {
        Err("operators within brackets are not part of RE2".to_owned())
    }
}

fn ascii(class: &ClassPerl) -> &'static str {
    match (&class.kind, class.negated) {
        (ClassPerlKind::Digit, false) => "[0-9]",
        (ClassPerlKind::Digit, true) => "[^0-9]",
        (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
        (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
        (ClassPerlKind::Space, false) => r"[\t\n\x0C\r ]",
        (ClassPerlKind::Space, true) => r"[^\t\n\x0C\r ]",
    }
}
