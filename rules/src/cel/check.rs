//! The rules of types: which operands an operator takes, which overload a call means.

use super::ast::{Arithmetic, Comparison};
use super::compare::NO_RECORDS;
use super::functions::{Function, Overload};
use super::types::Type;
use std::collections::BTreeMap;

/// The type of an arithmetic operation; `None` if there is none for these operands.
pub(super) fn arithmetic(how: Arithmetic, a: &Type, b: &Type) -> Option<Type> {
    use Type::{Bytes, Double, Duration, Dyn, Int, List, String, Timestamp, Uint};
    Some(match (how, a, b) {
        (_, Dyn, Dyn) => Dyn,
        (Arithmetic::Add | Arithmetic::Subtract, Dyn, Duration) => Dyn,
        (Arithmetic::Add, Duration, Dyn) => Dyn,
        (Arithmetic::Subtract, Timestamp, Dyn) | (Arithmetic::Subtract, Dyn, Timestamp) => Dyn,
        (Arithmetic::Add, Timestamp, Dyn) | (Arithmetic::Add, Dyn, Timestamp) => Timestamp,
        (Arithmetic::Subtract, Duration, Dyn) => Duration,
        (Arithmetic::Modulo, Double, _) | (Arithmetic::Modulo, _, Double) => return None,
        (_, known @ (Int | Uint | Double), Dyn) | (_, Dyn, known @ (Int | Uint | Double)) => {
            known.clone()
        }
        (_, Int, Int) => Int,
        (_, Uint, Uint) => Uint,
        (_, Double, Double) => Double,
        (Arithmetic::Add, String, String | Dyn) | (Arithmetic::Add, Dyn, String) => String,
        (Arithmetic::Add, Bytes, Bytes | Dyn) | (Arithmetic::Add, Dyn, Bytes) => Bytes,
        (Arithmetic::Add, List(a), List(b)) => Type::list(a.join(b)),
        (Arithmetic::Add, List(_), Dyn) | (Arithmetic::Add, Dyn, List(_)) => Type::list(Dyn),
        (Arithmetic::Add | Arithmetic::Subtract, Duration, Duration) => Duration,
        (Arithmetic::Add, Timestamp, Duration) | (Arithmetic::Add, Duration, Timestamp) => {
            Timestamp
        }
        (Arithmetic::Subtract, Timestamp, Duration) => Timestamp,
        (Arithmetic::Subtract, Timestamp, Timestamp) => Duration,
        _ => return None,
    })
}

/// What is wrong with comparing two types, if anything.
pub(super) fn comparison(how: Comparison, a: &Type, b: &Type) -> Result<(), Option<&'static str>> {
    if matches!(how, Comparison::Equal | Comparison::NotEqual) {
        return match (a, b) {
            (Type::Dyn, _) | (_, Type::Dyn) => Ok(()),
            (Type::Null, Type::Null) => Ok(()),
            (Type::Null, _) | (_, Type::Null) => Err(Some(
                "nothing is ever null here: use `has()` or compare with an empty value",
            )),
            _ if a.holds_records() && b.holds_records() => Err(Some(NO_RECORDS)),
            _ if a.may_equal(b) => Ok(()),
            _ => Err(remedy(a, b)),
        };
    }
    let ordered = |ty: &Type| ty.is_ordered() || *ty == Type::Semver;
    if ordered(a) && ordered(b) && a.may_equal(b) {
        Ok(())
    } else {
        Err(remedy(a, b))
    }
}

/// Functions that compare the elements of their lists.
const COMPARING: [&str; 4] = [
    "distinct",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
];

/// Whether a call compares records.
pub(super) fn compares_records(function: &Function, types: &[Type]) -> bool {
    COMPARING.contains(&function.name) && types.iter().all(Type::holds_records)
}

/// How to make the two fit an operation of arithmetic, for the usual mistakes.
pub(super) fn remedy_of_arithmetic(how: Arithmetic, a: &Type, b: &Type) -> Option<&'static str> {
    match (how, a, b) {
        (Arithmetic::Add, Type::Timestamp, Type::String)
        | (Arithmetic::Add, Type::String, Type::Timestamp) => {
            Some("write durations as `duration(\"72h\")`")
        }
        (Arithmetic::Subtract, Type::Timestamp, Type::String) => Some(
            "write durations as `duration(\"72h\")`, times as `timestamp(\"2026-01-31T00:00:00Z\")`",
        ),
        _ => remedy(a, b),
    }
}

/// How to make the two comparable, for the usual mistakes.
pub(super) fn remedy(a: &Type, b: &Type) -> Option<&'static str> {
    match (a, b) {
        (Type::Duration, Type::String) | (Type::String, Type::Duration) => {
            Some("write durations as `duration(\"72h\")`")
        }
        (Type::Timestamp, Type::String) | (Type::String, Type::Timestamp) => {
            Some("write times as `timestamp(\"2026-01-31T00:00:00Z\")`")
        }
        (Type::Duration, number) | (number, Type::Duration) if number.is_number() => {
            Some("write durations as `duration(\"72h\")`")
        }
        (Type::String, number) | (number, Type::String) if number.is_number() => {
            Some("a text is written in quotes, a number without quotes")
        }
        (Type::Semver, Type::String) | (Type::String, Type::Semver) => {
            Some("write versions as `semver(\"1.2.3\")`")
        }
        (Type::Optional(_), _) | (_, Type::Optional(_)) => {
            Some("give a default with `.orValue(...)`")
        }
        (Type::Record(_), _) | (_, Type::Record(_)) => Some("compare one of its fields"),
        (a, b) if a.is_number() && b.is_number() => {
            Some("convert one of them with `int()` or `double()`")
        }
        (Type::List(_), _) | (_, Type::List(_)) => Some("`in` looks for an element of a list"),
        _ => None,
    }
}

/// Why a call is not possible.
pub(super) enum CallError {
    /// It is a method, or it is not.
    Style { member: bool },
    /// It takes another number of arguments.
    Count(Vec<usize>),
    /// It does not take these types.
    Types,
}

/// The type of a call with these arguments, the receiver first.
pub(super) fn call(function: &Function, member: bool, args: &[Type]) -> Result<Type, CallError> {
    let of_style: Vec<&Overload> = function
        .overloads()
        .iter()
        .filter(|overload| overload.member == member)
        .collect();
    if of_style.is_empty() {
        return Err(CallError::Style { member: !member });
    }
    let of_count: Vec<&&Overload> = of_style
        .iter()
        .filter(|overload| overload.accepts_count(args.len()))
        .collect();
    if of_count.is_empty() {
        let receiver = usize::from(member);
        let mut counts: Vec<usize> = of_style
            .iter()
            .map(|overload| overload.params.len() - receiver)
            .collect();
        counts.sort_unstable();
        counts.dedup();
        return Err(CallError::Count(counts));
    }
    let results: Vec<Type> = of_count
        .iter()
        .filter_map(|overload| {
            let mut bound = BTreeMap::new();
            let fits = args
                .iter()
                .enumerate()
                .all(|(at, arg)| unify(overload.param(at), arg, &mut bound));
            fits.then(|| substitute(&overload.result, &bound))
        })
        .collect();
    results
        .into_iter()
        .reduce(|a, b| a.join(&b))
        .map(Type::taken)
        .ok_or(CallError::Types)
}

fn unify(param: &Type, arg: &Type, bound: &mut BTreeMap<char, Type>) -> bool {
    match (param, arg) {
        (Type::Parameter(name), arg) => {
            let joined = match bound.get(name) {
                Some(before) if !before.may_equal(arg) => {
                    return false;
                }
                Some(before) => before.join(arg),
                None => arg.clone(),
            };
            bound.insert(*name, joined);
            true
        }
        (_, Type::Dyn | Type::Free) => true,
        (Type::List(param), Type::List(arg)) | (Type::Optional(param), Type::Optional(arg)) => {
            unify(param, arg, bound)
        }
        (Type::Map(pk, pv), Type::Map(ak, av)) => unify(pk, ak, bound) && unify(pv, av, bound),
        (param, arg) => param.agrees_with(arg),
    }
}

fn substitute(ty: &Type, bound: &BTreeMap<char, Type>) -> Type {
    match ty {
        Type::Parameter(name) => bound.get(name).cloned().unwrap_or(Type::Free),
        Type::List(element) => Type::list(substitute(element, bound)),
        Type::Optional(value) => Type::optional(substitute(value, bound)),
        Type::Map(key, value) => Type::map(substitute(key, bound), substitute(value, bound)),
        other => other.clone(),
    }
}
