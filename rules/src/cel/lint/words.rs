//! Fields that only ever have some words, compared with others.

use super::Operand;
use crate::cel::ast::{Arithmetic, Expr, ExprKind, Loop, LoopKind, Span};
use crate::cel::diagnostics::{Diagnostic, suggest};
use crate::cel::facts::{artifact, hop, image, referrer, repository, tag, target};
use crate::cel::lower::Lowering;
use crate::cel::node::{Kind, Node};
use crate::cel::value::Value;
use std::sync::Arc;

/// What a text can be: the words of a field whose declaration lists them.
#[derive(Clone, Debug)]
pub(in crate::cel) struct Words {
    field: &'static str,
    all: Vec<String>,
}

/// A text that is written out, and where.
pub(in crate::cel) type Literal = (Arc<str>, Span);

/// The words that a value can be, if that is known.
pub(in crate::cel) fn of(lowering: &Lowering<'_>, node: &Node) -> Option<Words> {
    match &node.kind {
        Kind::Local(slot) => lowering.words_of_local(*slot).cloned(),
        Kind::Call(function, args) => {
            let change = case_change(function.name)?;
            let Words { field, all } = of(lowering, args.first()?)?;
            let all = all.iter().map(|word| change(word)).collect();
            Some(Words { field, all })
        }
        Kind::Select(select) => {
            let mut fields = lowering.environment.fields_at(select.index?, &select.name);
            fields.find_map(|field| {
                let words = field.words();
                (!words.is_empty()).then(|| Words {
                    field: field.name,
                    all: words.into_iter().map(str::to_owned).collect(),
                })
            })
        }
        _ => None,
    }
}

/// The words that each element of a list can be: of one that was mapped to a field.
pub(in crate::cel) fn of_elements(lowering: &Lowering<'_>, list: &Node) -> Option<Words> {
    match &list.kind {
        Kind::Loop(each) if each.how == LoopKind::Map => of(lowering, &each.body),
        _ => None,
    }
}

/// The texts that the named element of a loop stands for, if they are written out.
pub(in crate::cel) fn literals(each: &Loop) -> Vec<Literal> {
    match &each.range.kind {
        ExprKind::Map(entries) => entries
            .iter()
            .filter_map(|entry| text_of(&entry.key))
            .collect(),
        _ => listed(&each.range),
    }
}

/// Warnings about a value that is looked for among these texts, or compared with one of them.
pub(super) fn never(
    lowering: &Lowering<'_>,
    value: &Node,
    literals: &[Literal],
) -> Vec<Diagnostic> {
    if let Some(words) = of(lowering, value) {
        return words.never(literals);
    }
    let warning = |(text, place): &Literal| {
        never_in_this_case(value, text, *place).or_else(|| never_a_pattern(value, text, *place))
    };
    literals.iter().filter_map(warning).collect()
}

/// The fields of names and digests, in which no pattern is.
const NAMES: [(u16, &str); 14] = [
    (tag::NAME, "name"),
    (tag::PREVIOUS_DIGEST, "previous_digest"),
    (repository::NAME, "name"),
    (repository::NAMESPACE, "namespace"),
    (repository::REGISTRY, "registry"),
    (artifact::DIGEST, "digest"),
    (image::DIGEST, "digest"),
    (target::REPOSITORY, "repository"),
    (target::TAG, "tag"),
    (target::DIGEST, "digest"),
    (hop::REPOSITORY, "repository"),
    (hop::TAG, "tag"),
    (referrer::DIGEST, "digest"),
    (referrer::SUBJECT, "subject"),
];

/// A warning if a name is compared with, or looked into for, what can be in none: a pattern, as keys
/// of the header have them.
pub(in crate::cel) fn never_a_pattern(value: &Node, text: &str, place: Span) -> Option<Diagnostic> {
    let Kind::Select(select) = &value.kind else {
        return None;
    };
    let name = NAMES
        .iter()
        .find(|name| **name == (select.index.unwrap_or(u16::MAX), &*select.name));
    let (_, field) = name?;
    let wildcard = text
        .chars()
        .find(|character| matches!(character, '*' | '?'))?;
    let message = format!("'{field}' never has a `{wildcard}`: this is a text, and no pattern");
    let help = "write the part before it with `startsWith()`, or a pattern with `matches()`";
    Some(Diagnostic::warning(place, message).with_help(help.to_owned()))
}

/// The texts that are written out in a list, or in several that are put together.
pub(in crate::cel) fn listed(list: &Expr) -> Vec<Literal> {
    match &list.kind {
        ExprKind::List(items) => items
            .iter()
            .filter_map(|item| text_of(&item.value))
            .collect(),
        ExprKind::Arithmetic(Arithmetic::Add, a, b) => [listed(a), listed(b)].concat(),
        _ => Vec::new(),
    }
}

/// Warnings about lists that are compared element by element, where the elements of one are words and
/// the texts of the other none of these.
pub(in crate::cel) fn never_in_common(
    lowering: &Lowering<'_>,
    (a, a_node): (&Expr, &Node),
    (b, b_node): (&Expr, &Node),
) -> Vec<Diagnostic> {
    let sides = [(a_node, b), (b_node, a)].into_iter();
    let warnings = sides.filter_map(|(node, other)| {
        let words = of_elements(lowering, node)?;
        Some(words.never(&listed(other)))
    });
    warnings.flatten().collect()
}

fn text_of(expr: &Expr) -> Option<Literal> {
    match &expr.kind {
        ExprKind::Literal(Value::String(text)) => Some((Arc::clone(text), expr.span)),
        _ => None,
    }
}

/// The texts that an operand stands for, if they are written out.
pub(super) fn written(lowering: &Lowering<'_>, expr: &Expr, node: &Node) -> Vec<Literal> {
    match &node.kind {
        Kind::Constant(Value::String(text)) => vec![(Arc::clone(text), expr.span)],
        Kind::Local(slot) => lowering.literals_of_local(*slot).to_vec(),
        _ => Vec::new(),
    }
}

/// A warning if words are put in an order, which they do not have.
pub(super) fn in_order(
    lowering: &Lowering<'_>,
    left: Operand<'_>,
    right: Operand<'_>,
    span: Span,
) -> Option<Diagnostic> {
    let (expr, words) = [left, right]
        .into_iter()
        .find_map(|(expr, node, _)| Some((expr, of(lowering, node)?)))?;
    let text = expr.span.text(lowering.source);
    let message = format!(
        "this compares letter by letter: the words of '{}' have no order",
        words.field
    );
    let counts = match words.field {
        "severity" => ", or use the counts, such as `scan.critical`",
        _ => "",
    };
    let listed = words.all.iter().take(2).map(|word| format!("\"{word}\""));
    let listed = listed.collect::<Vec<_>>().join(", ");
    let help = format!("list those that are meant: `{text} in [{listed}]`{counts}");
    Some(Diagnostic::warning(span, message).with_help(help))
}

/// A warning if no word has this pattern or part.
pub(in crate::cel) fn none_matches(
    lowering: &Lowering<'_>,
    subject: &Node,
    place: Span,
    matches: impl Fn(&str) -> bool,
) -> Option<Diagnostic> {
    let words = of(lowering, subject)?;
    if words.all.iter().any(|word| matches(word)) {
        return None;
    }
    let list = words.all.join(", ");
    let message = format!(
        "no word of '{}' matches this: it is one of {list}",
        words.field
    );
    Some(Diagnostic::warning(place, message))
}

/// How a function with a literal argument looks at a text, for those that tell true or false.
pub(in crate::cel) fn test_of(function: &str) -> Option<fn(&str, &str) -> bool> {
    Some(match function {
        "contains" => |text, part| text.contains(part),
        "startsWith" => |text, part| text.starts_with(part),
        "endsWith" => |text, part| text.ends_with(part),
        _ => return None,
    })
}

impl Words {
    /// Warnings about the texts that are none of these words.
    pub(super) fn never(&self, literals: &[Literal]) -> Vec<Diagnostic> {
        let unknown = literals
            .iter()
            .filter(|(text, _)| !self.all.iter().any(|word| **word == **text));
        let warning = |(text, place): &Literal| {
            let list = self.all.join(", ");
            let message = format!("'{}' is never '{text}', but one of {list}", self.field);
            let near = suggest(text, self.all.iter().map(String::as_str));
            Diagnostic::warning(*place, message).with_help(near)
        };
        unknown.map(warning).collect()
    }
}

/// A warning if a text that was changed to one case is compared with one in the other.
fn never_in_this_case(value: &Node, text: &str, place: Span) -> Option<Diagnostic> {
    let Kind::Call(function, _) = &value.kind else {
        return None;
    };
    let changed = case_change(function.name)?(text);
    if changed == text {
        return None;
    }
    let message = format!("`{}()` never gives '{text}'", function.name);
    let help = format!("write '{changed}'");
    Some(Diagnostic::warning(place, message).with_help(help))
}

fn case_change(function: &str) -> Option<fn(&str) -> String> {
    match function {
        "lowerAscii" => Some(str::to_ascii_lowercase),
        "upperAscii" => Some(str::to_ascii_uppercase),
        _ => None,
    }
}
