//! The functions that an expression may call: their signatures for the checker and the reference
//! page, and what they do.
//!
//! A function sees its receiver, if it has one, as its first argument. It takes from the budget
//! before it makes anything.

mod convert;
mod encoders;
mod format;
mod lists;
mod math;
mod optional;
mod semver;
mod sets;
mod strings;
mod time;

pub(super) use encoders::to_base64;
pub(super) use lists::sort_by_keys;

use super::budget::{Budget, Fault};
use super::types::Type;
use super::value::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

type Body = fn(&Budget, &[&Value]) -> Result<Value, Fault>;

/// A function with all its overloads.
pub(super) struct Function {
    /// With its namespace, as in `math.abs`.
    pub name: &'static str,
    /// As `receiver.name(argument, ...) -> result`, with `...` for any number of the last one.
    pub signatures: &'static [&'static str],
    pub doc: &'static str,
    pub body: Body,
    /// Whether it passes its arguments on without looking at them, so that what moves with the
    /// clock may keep moving.
    pub passes_on: bool,
    /// For a function that gives a default for its receiver: the result if there is a value.
    pub default_of: Option<fn(&Arc<Value>) -> Value>,
    /// Made from `signatures`.
    overloads: fn(&'static str) -> &'static [Overload],
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Function({})", self.name)
    }
}

/// One signature, parsed.
#[derive(Clone, Debug)]
pub(super) struct Overload {
    pub member: bool,
    /// The receiver first, if there is one.
    pub params: Vec<Type>,
    /// Whether the last parameter may be given any number of times.
    pub variadic: bool,
    pub result: Type,
}

impl Overload {
    pub(super) fn accepts_count(&self, count: usize) -> bool {
        if self.variadic {
            count + 1 > self.params.len()
        } else {
            count == self.params.len()
        }
    }

    pub(super) fn param(&self, at: usize) -> &Type {
        self.params
            .get(at)
            .or(self.params.last())
            .unwrap_or(&Type::Dyn)
    }
}

impl Function {
    pub(super) fn overloads(&self) -> &'static [Overload] {
        (self.overloads)(self.name)
    }
}

const fn function(
    name: &'static str,
    signatures: &'static [&'static str],
    doc: &'static str,
    body: Body,
) -> Function {
    Function {
        name,
        signatures,
        doc,
        body,
        passes_on: false,
        default_of: None,
        overloads: parsed_overloads,
    }
}

const TABLES: &[&[Function]] = &[
    convert::TABLE,
    strings::TABLE,
    lists::TABLE,
    sets::TABLE,
    math::TABLE,
    time::TABLE,
    encoders::TABLE,
    optional::TABLE,
    semver::TABLE,
];

/// All functions, by name.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    TABLE.values().map(|(function, _)| *function)
}

/// The function called `name`.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    TABLE.get(name).map(|(function, _)| *function)
}

static TABLE: LazyLock<BTreeMap<&'static str, (&'static Function, Vec<Overload>)>> =
    LazyLock::new(|| {
        TABLES
            .iter()
            .flat_map(|table| table.iter())
            .map(|function| {
                let overloads = function
                    .signatures
                    .iter()
                    .filter_map(|text| parse_signature(text))
                    .collect();
                (function.name, (function, overloads))
            })
            .collect()
    });

fn parsed_overloads(name: &'static str) -> &'static [Overload] {
    TABLE.get(name).map_or(&[], |(_, overloads)| overloads)
}

/// Reads `list(T).contains(T) -> bool`.
fn parse_signature(text: &str) -> Option<Overload> {
    let (call, result) = text.split_once(" -> ")?;
    let open = matching_open(call)?;
    let (before, args) = (&call[..open], &call[open + 1..call.len() - 1]);
    let receiver = before
        .rsplit_once('.')
        .map(|(receiver, _)| receiver)
        .filter(|receiver| parse_type(receiver).is_some());
    let variadic = args.ends_with("...");
    let mut params: Vec<Type> = receiver.and_then(parse_type).into_iter().collect();
    for arg in split_args(args.trim_end_matches("...")) {
        params.push(parse_type(arg)?);
    }
    Some(Overload {
        member: receiver.is_some(),
        params,
        variadic,
        result: parse_type(result)?,
    })
}

/// The bracket that opens the arguments, which the last character closes.
fn matching_open(call: &str) -> Option<usize> {
    let mut depth = 0;
    call.char_indices().rev().find_map(|(at, c)| {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

fn split_args(args: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in args.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(args[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !args[start..].trim().is_empty() {
        parts.push(args[start..].trim());
    }
    parts
}

fn parse_type(text: &str) -> Option<Type> {
    if let Some((name, args)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let args = split_args(args)
            .into_iter()
            .map(parse_type)
            .collect::<Option<Vec<_>>>()?;
        return match (name, <[Type; 1]>::try_from(args)) {
            ("list", Ok([element])) => Some(Type::list(element)),
            ("optional", Ok([value])) => Some(Type::optional(value)),
            ("map", Err(args)) => <[Type; 2]>::try_from(args)
                .ok()
                .map(|[key, value]| Type::map(key, value)),
            _ => None,
        };
    }
    Some(match text {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "type" => Type::Type,
        "semver" => Type::Semver,
        "T" | "U" | "K" | "V" => Type::Parameter(text.chars().next()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_can_be_read() {
        for function in TABLES.iter().flat_map(|table| table.iter()) {
            for text in function.signatures {
                assert!(parse_signature(text).is_some(), "{text}");
                assert!(
                    text.contains(function.name),
                    "{text} is not of {}",
                    function.name
                );
            }
        }
    }

    #[test]
    fn no_two_functions_share_a_name() {
        let count: usize = TABLES.iter().map(|table| table.len()).sum();
        assert_eq!(count, all().count());
    }
}
