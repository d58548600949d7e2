//! Semantic versions, compared by precedence. A leading `v` is accepted.

use super::super::budget::{Budget, Fault};
use super::super::value::Value;
use super::{Function, function};
use ::semver::Version;
use std::cmp::Ordering;
use std::sync::Arc;

/// No version is longer; it also keeps the numbers in it small.
const MAX_LENGTH: usize = 256;

pub(super) const TABLE: &[Function] = &[
    function(
        "semver",
        &["semver(string) -> semver", "semver(string, bool) -> semver"],
        "A semantic version; with `true`, missing parts are zero and leading zeros are dropped.",
        parse_version,
    ),
    function(
        "isSemver",
        &["isSemver(string) -> bool", "isSemver(string, bool) -> bool"],
        "Whether the text is a semantic version.",
        is_version,
    ),
    function(
        "major",
        &["semver.major() -> int"],
        "The first number of the version.",
        |_, args| part(args, |v| v.major),
    ),
    function(
        "minor",
        &["semver.minor() -> int"],
        "The second number of the version.",
        |_, args| part(args, |v| v.minor),
    ),
    function(
        "patch",
        &["semver.patch() -> int"],
        "The third number of the version.",
        |_, args| part(args, |v| v.patch),
    ),
    function(
        "isPrerelease",
        &["semver.isPrerelease() -> bool"],
        "Whether it is a pre-release such as `1.0.0-rc.1`.",
        |_, args| match args {
            [Value::Semver(version)] => Ok(Value::Bool(!version.pre.is_empty())),
            _ => Err(Fault::NoOverload),
        },
    ),
    function(
        "isLessThan",
        &["semver.isLessThan(semver) -> bool"],
        "Whether it is the older version.",
        |_, args| Ok(Value::Bool(compare(args)? == Ordering::Less)),
    ),
    function(
        "isGreaterThan",
        &["semver.isGreaterThan(semver) -> bool"],
        "Whether it is the newer version.",
        |_, args| Ok(Value::Bool(compare(args)? == Ordering::Greater)),
    ),
    function(
        "compareTo",
        &["semver.compareTo(semver) -> int"],
        "-1, 0 or 1 if it is older, the same or newer.",
        |_, args| Ok(Value::Int(compare(args)? as i64)),
    ),
];

fn parse_version(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (text, lenient) = text(args)?;
    budget.make_bytes(text.len())?;
    parse(text, lenient)
        .map(|version| Value::Semver(Arc::new(version)))
        .ok_or_else(|| {
            let clipped: String = text.chars().take(40).collect();
            Fault::Failed(format!("`{clipped}` is no semantic version"))
        })
}

fn is_version(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (text, lenient) = text(args)?;
    budget.make_bytes(text.len())?;
    Ok(Value::Bool(parse(text, lenient).is_some()))
}

fn text<'a>(args: &[&'a Value]) -> Result<(&'a str, bool), Fault> {
    match args {
        [Value::String(text)] => Ok((text, false)),
        [Value::String(text), Value::Bool(lenient)] => Ok((text, *lenient)),
        _ => Err(Fault::NoOverload),
    }
}

fn parse(text: &str, lenient: bool) -> Option<Version> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let version = if lenient {
        Version::parse(&complete(text))
    } else {
        Version::parse(text)
    };
    // The numbers are given out as CEL's signed integers.
    version.ok().filter(|v| {
        [v.major, v.minor, v.patch]
            .iter()
            .all(|n| i64::try_from(*n).is_ok())
    })
}

/// `1.02` as `1.2.0`.
fn complete(text: &str) -> String {
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let mut numbers: Vec<&str> = core
        .split('.')
        .map(|number| {
            let trimmed = number.trim_start_matches('0');
            if trimmed.is_empty() && !number.is_empty() {
                "0"
            } else {
                trimmed
            }
        })
        .collect();
    while numbers.len() < 3 {
        numbers.push("0");
    }
    format!("{}{rest}", numbers.join("."))
}

fn part(args: &[&Value], part: fn(&Version) -> u64) -> Result<Value, Fault> {
    match args {
        [Value::Semver(version)] => {
            Ok(Value::Int(i64::try_from(part(version)).unwrap_or(i64::MAX)))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn compare(args: &[&Value]) -> Result<Ordering, Fault> {
    match args {
        [Value::Semver(a), Value::Semver(b)] => Ok(a.cmp_precedence(b)),
        _ => Err(Fault::NoOverload),
    }
}
