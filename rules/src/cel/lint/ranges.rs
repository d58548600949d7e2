//! Numbers that stay within a range, compared with others.

use super::Operand;
use crate::cel::ast::{Comparison, Expr, Span};
use crate::cel::diagnostics::Diagnostic;
use crate::cel::lower::Lowering;
use crate::cel::node::{Kind, Node};
use crate::cel::types::Type;
use crate::cel::value::Value;

/// Between which numbers a value always is.
struct Range {
    least: i64,
    most: Option<i64>,
    /// What to remember about it, for a range that people get wrong.
    note: Option<&'static str>,
}

/// The parts of a time of which a duration has none, or none that is negative or larger.
const PARTS_OF_DAYS: [(&str, i64, i64, Option<&str>); 5] = [
    ("getMonth", 0, 11, Some("January is 0 and December 11")),
    ("getDate", 1, 31, None),
    ("getDayOfMonth", 0, 30, Some("`getDate()` counts from 1")),
    ("getDayOfWeek", 0, 6, Some("Sunday is 0 and Saturday 6")),
    ("getDayOfYear", 0, 365, Some("the first of January is 0")),
];

/// The parts of a time that are all the hours, minutes or seconds of a duration.
const PARTS_OF_HOURS: [(&str, i64, i64, Option<&str>); 3] = [
    ("getHours", 0, 23, None),
    ("getMinutes", 0, 59, None),
    ("getSeconds", 0, 59, None),
];

/// A warning if a number is compared with one that decides the comparison whatever it is.
pub(super) fn decided(
    lowering: &Lowering<'_>,
    how: Comparison,
    left: Operand<'_>,
    right: Operand<'_>,
    span: Span,
) -> Option<Diagnostic> {
    let number = |operand: &Operand<'_>| match operand.1.kind {
        Kind::Constant(Value::Int(number)) => Some(number),
        _ => None,
    };
    let (how, value, number) = match (number(&left), number(&right)) {
        (None, Some(number)) => (how, left, number),
        (Some(number), None) => (how.mirrored(), right, number),
        _ => return None,
    };
    let range = Range::of(lowering, value.1, value.2)?;
    let always = range.always(how, number)?;
    let text = value.0.span.text(lowering.source);
    let message = format!("this is always {always}: `{text}` is {}", range.told());
    Some(Diagnostic::warning(span, message).with_help(range.note.map(str::to_owned)))
}

/// A warning if a number is looked for in a list and is never this element of it.
pub(super) fn never_element(
    lowering: &Lowering<'_>,
    item: Operand<'_>,
    element: i64,
    place: &Expr,
) -> Option<Diagnostic> {
    let range = Range::of(lowering, item.1, item.2)?;
    range.always(Comparison::Equal, element)?;
    let text = item.0.span.text(lowering.source);
    let message = format!("`{text}` is never {element}: it is {}", range.told());
    let note = range.note.map(str::to_owned);
    Some(Diagnostic::warning(place.span, message).with_help(note))
}

impl Range {
    fn of(lowering: &Lowering<'_>, node: &Node, ty: &Type) -> Option<Range> {
        match &node.kind {
            // No number among the facts is negative.
            Kind::Select(select) if select.index.is_some() && *ty == Type::Int => Some(Range {
                least: 0,
                most: None,
                note: None,
            }),
            Kind::Call(function, args) => {
                let of_a_time = args.len() > 1 || is_time(lowering, args.first()?);
                let parts = PARTS_OF_HOURS.iter().filter(|_| of_a_time);
                let (_, least, most, note) = parts
                    .chain(&PARTS_OF_DAYS)
                    .find(|(name, ..)| *name == function.name)?;
                Some(Range {
                    least: *least,
                    most: Some(*most),
                    note: *note,
                })
            }
            _ => None,
        }
    }

    fn told(&self) -> String {
        match self.most {
            None => "never negative".to_owned(),
            Some(most) => format!("from {} to {most}", self.least),
        }
    }

    /// What a comparison of the value with `number` always is. That a value is within its whole range,
    /// as the first or last hour of a day, is often said for the reader, and is nothing to warn of.
    fn always(&self, how: Comparison, number: i64) -> Option<bool> {
        let Range { least, most, .. } = *self;
        let below = number < least;
        let above = most.is_some_and(|most| number > most);
        let always = match how {
            Comparison::Equal if below || above => false,
            Comparison::NotEqual if below || above => true,
            Comparison::Less if number <= least => false,
            Comparison::Less if above => true,
            Comparison::LessOrEqual if below => false,
            Comparison::LessOrEqual if above => true,
            Comparison::Greater if above || Some(number) == most => false,
            Comparison::Greater if below => true,
            Comparison::GreaterOrEqual if above => false,
            Comparison::GreaterOrEqual if number <= least => true,
            _ => return None,
        };
        let edge = match how {
            Comparison::Less => most.and_then(|most| most.checked_add(1)),
            Comparison::GreaterOrEqual => most.map(|_| least),
            _ => None,
        };
        (!always || edge != Some(number)).then_some(always)
    }
}

/// Whether this is a timestamp among the facts.
fn is_time(lowering: &Lowering<'_>, node: &Node) -> bool {
    match &node.kind {
        Kind::Variable(index) => {
            let variable = lowering.environment.variables().get(usize::from(*index));
            variable.is_some_and(|variable| variable.ty == Type::Timestamp)
        }
        Kind::Select(select) => select.index.is_some_and(|index| {
            let mut fields = lowering.environment.fields_at(index, &select.name);
            fields.any(|field| field.ty == Type::Timestamp)
        }),
        _ => false,
    }
}
