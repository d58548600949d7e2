//! Functions on texts. Places in a text are counted in characters.

use super::super::budget::{Budget, Fault};
use super::super::regexp;
use super::super::value::Value;
use super::{Function, format, function};

/// What compiling a pattern takes from the budget, besides its states.
const PATTERN_STEPS: usize = 5_000;

/// What each of its states takes: about as long as so many turns of a loop.
const STEPS_PER_STATE: usize = 12;

pub(super) const TABLE: &[Function] = &[
    function(
        "contains",
        &["string.contains(string) -> bool"],
        "Whether the text contains the other.",
        |budget, args| test(budget, args, |text, part| text.contains(part)),
    ),
    function(
        "startsWith",
        &["string.startsWith(string) -> bool"],
        "Whether the text starts with the other.",
        |budget, args| test(budget, args, |text, part| text.starts_with(part)),
    ),
    function(
        "endsWith",
        &["string.endsWith(string) -> bool"],
        "Whether the text ends with the other.",
        |budget, args| test(budget, args, |text, part| text.ends_with(part)),
    ),
    function(
        "matches",
        &[
            "string.matches(string) -> bool",
            "matches(string, string) -> bool",
        ],
        "Whether the pattern (RE2) occurs in the text; `^` and `$` stand for its ends.",
        matches,
    ),
    function(
        "charAt",
        &["string.charAt(int) -> string"],
        "The character at a place.",
        char_at,
    ),
    function(
        "indexOf",
        &[
            "string.indexOf(string) -> int",
            "string.indexOf(string, int) -> int",
        ],
        "Where the other text occurs first, from a place on; -1 if it does not.",
        index_of,
    ),
    function(
        "lastIndexOf",
        &[
            "string.lastIndexOf(string) -> int",
            "string.lastIndexOf(string, int) -> int",
        ],
        "Where the other text occurs last, up to a place; -1 if it does not.",
        last_index_of,
    ),
    function(
        "join",
        &[
            "list(string).join() -> string",
            "list(string).join(string) -> string",
        ],
        "The texts in one, with a separator between them.",
        join,
    ),
    function(
        "lowerAscii",
        &["string.lowerAscii() -> string"],
        "With the letters A to Z in lower case.",
        |budget, args| map(budget, args, str::to_ascii_lowercase),
    ),
    function(
        "upperAscii",
        &["string.upperAscii() -> string"],
        "With the letters a to z in upper case.",
        |budget, args| map(budget, args, str::to_ascii_uppercase),
    ),
    function(
        "trim",
        &["string.trim() -> string"],
        "Without the white space around it.",
        |budget, args| map(budget, args, |text| text.trim().to_owned()),
    ),
    function(
        "replace",
        &[
            "string.replace(string, string) -> string",
            "string.replace(string, string, int) -> string",
        ],
        "With one text replaced by another, at most so many times.",
        replace,
    ),
    function(
        "split",
        &[
            "string.split(string) -> list(string)",
            "string.split(string, int) -> list(string)",
        ],
        "The parts between separators, at most so many.",
        split,
    ),
    function(
        "substring",
        &[
            "string.substring(int) -> string",
            "string.substring(int, int) -> string",
        ],
        "The characters from one place up to another.",
        substring,
    ),
    function(
        "format",
        &["string.format(list(dyn)) -> string"],
        "With `%s`, `%d` and the like filled in.",
        format::format,
    ),
    function(
        "strings.quote",
        &["strings.quote(string) -> string"],
        "As a text is written in an expression.",
        quote,
    ),
];

fn test(budget: &Budget, args: &[&Value], test: fn(&str, &str) -> bool) -> Result<Value, Fault> {
    match args {
        [Value::String(text), Value::String(part)] => {
            budget.read_bytes(text.len())?;
            Ok(Value::Bool(test(text, part)))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn map(budget: &Budget, args: &[&Value], map: fn(&str) -> String) -> Result<Value, Fault> {
    match args {
        [Value::String(text)] => {
            budget.make_bytes(text.len())?;
            Ok(map(text).into())
        }
        _ => Err(Fault::NoOverload),
    }
}

/// With a pattern known only at run time; a literal one is compiled when the rule is loaded.
fn matches(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::String(text), Value::String(pattern)] => {
            budget.spend(PATTERN_STEPS + pattern.len())?;
            let parsed = regexp::Parsed::new(pattern).map_err(Fault::Failed)?;
            budget.spend(STEPS_PER_STATE * parsed.states as usize)?;
            let pattern = parsed.compile().map_err(Fault::Failed)?;
            budget.spend(pattern.steps(text.len()))?;
            Ok(Value::Bool(pattern.is_match(text)))
        }
        _ => Err(Fault::NoOverload),
    }
}

/// The byte at the character `at`, if it is within the text or at its end.
fn byte_of(text: &str, at: i64) -> Result<usize, Fault> {
    let outside = || Fault::Failed(format!("the place {at} is outside of the text"));
    let at = usize::try_from(at).map_err(|_| outside())?;
    text.char_indices()
        .map(|(byte, _)| byte)
        .chain([text.len()])
        .nth(at)
        .ok_or_else(outside)
}

fn char_of(text: &str, byte: usize) -> Value {
    let count = text.get(..byte).map_or(0, |before| before.chars().count());
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn char_at(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    match args {
        [Value::String(text), Value::Int(at)] => {
            budget.read_bytes(text.len())?;
            let rest = &text[byte_of(text, *at)?..];
            Ok(rest.chars().take(1).collect::<String>().into())
        }
        _ => Err(Fault::NoOverload),
    }
}

fn index_of(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (text, part, from) = search(budget, args, 0)?;
    Ok(match text[from..].find(part) {
        Some(byte) => char_of(text, from + byte),
        None => Value::Int(-1),
    })
}

fn last_index_of(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (text, part, until) = search(budget, args, usize::MAX)?;
    // What starts at or before `until` ends within as many bytes as the part has from there.
    let end = text.floor_char_boundary(until.saturating_add(part.len()));
    let found = text[..end].rfind(part);
    Ok(found.map_or(Value::Int(-1), |byte| char_of(text, byte)))
}

/// The text, the part looked for, and the byte of the place given, or `default`. An empty part may be
/// looked for at the end too, but not beyond it.
fn search<'a>(
    budget: &Budget,
    args: &[&'a Value],
    default: usize,
) -> Result<(&'a str, &'a str, usize), Fault> {
    match args {
        [Value::String(text), Value::String(part)] => {
            budget.read_bytes(text.len() + part.len())?;
            Ok((text, part, default.min(text.len())))
        }
        [Value::String(text), Value::String(part), Value::Int(at)] => {
            budget.read_bytes(text.len() + part.len())?;
            match byte_of(text, *at) {
                Ok(byte) if byte < text.len() || part.is_empty() => Ok((text, part, byte)),
                _ => Err(Fault::Failed(format!(
                    "the place {at} is outside of the text"
                ))),
            }
        }
        _ => Err(Fault::NoOverload),
    }
}

fn join(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, separator.as_ref()),
        _ => return Err(Fault::NoOverload),
    };
    let mut joined = String::new();
    for (at, item) in list.iter().enumerate() {
        let Value::String(text) = item else {
            return Err(Fault::NoOverload);
        };
        budget.make_bytes(text.len() + separator.len())?;
        budget.fits_bytes(joined.len() + text.len() + separator.len())?;
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(joined.into())
}

fn replace(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (text, from, to, limit) = match args {
        [Value::String(text), Value::String(from), Value::String(to)] => (text, from, to, -1),
        [
            Value::String(text),
            Value::String(from),
            Value::String(to),
            Value::Int(limit),
        ] => (text, from, to, *limit),
        _ => return Err(Fault::NoOverload),
    };
    budget.read_bytes(text.len() + from.len())?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(from.as_ref()).take(limit).count();
    let removed = from.len() * count;
    budget.make_bytes((text.len() - removed).saturating_add(to.len().saturating_mul(count)))?;
    Ok(text.replacen(from.as_ref(), to, limit).into())
}

fn split(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (text, separator, limit) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [
            Value::String(text),
            Value::String(separator),
            Value::Int(limit),
        ] => (text, separator, *limit),
        _ => return Err(Fault::NoOverload),
    };
    budget.make_bytes(text.len())?;
    budget.read_bytes(separator.len())?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts: Vec<Value> = Vec::new();
    let mut rest = Some(text.as_ref());
    while let Some(current) = rest {
        if parts.len() >= limit {
            break;
        }
        budget.make_items(1)?;
        budget.fits_items(parts.len() + 1)?;
        let last = parts.len() + 1 == limit;
        let cut = if last {
            None
        } else if separator.is_empty() {
            // Between characters, and without an empty part at the end.
            current
                .chars()
                .next()
                .map(char::len_utf8)
                .filter(|length| *length < current.len())
                .map(|at| (at, at))
        } else {
            current
                .find(separator.as_ref())
                .map(|at| (at, at + separator.len()))
        };
        if separator.is_empty() && current.is_empty() {
            break;
        }
        let (part, next) = match cut {
            Some((end, start)) => (&current[..end], Some(&current[start..])),
            None => (current, None),
        };
        parts.push(part.into());
        rest = next;
    }
    Ok(parts.into())
}

fn substring(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, byte_of(text, *start)?, text.len()),
        [Value::String(text), Value::Int(start), Value::Int(end)] => {
            (text, byte_of(text, *start)?, byte_of(text, *end)?)
        }
        _ => return Err(Fault::NoOverload),
    };
    budget.make_bytes(text.len())?;
    match text.get(start..end) {
        Some(part) => Ok(part.into()),
        None => Err(Fault::failed("the end of the range is before its start")),
    }
}

fn quote(budget: &Budget, args: &[&Value]) -> Result<Value, Fault> {
    let [Value::String(text)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.make_bytes(text.len() * 2 + 2)?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    Ok(quoted.into())
}
