//! The type checker beside cel-go's: on the published conformance tests, which carry the type that
//! cel-go infers, and on cel-go's own tests of its checker. Where ours differs, it is named here
//! with the reason; one that is named and does not differ fails the suite too.

use serde_json::Value as Json;
use weir_rules::cel::{Environment, Limits, Program, Type};

const DIVISION: &str = "a division by zero that is written out is an error wherever it stands";
const NOT_SOLVED: &str = "the type of what is not there is not found from how it is used later";
const UNTYPED: &str = "a message that stands for a value of any type is bound without its type";
const BETTER: &str = "cel-go does not type `cel.block`";

/// Valid expressions of the conformance tests that are refused.
const REFUSED: &[(&str, &str)] = &[
    ("false && (2 / 0 > 3 ? false : true)", DIVISION),
    ("(2 / 0 > 3 ? false : true) && false", DIVISION),
    ("true || (2 / 0 > 3 ? false : true)", DIVISION),
    ("(2 / 0 > 3 ? false : true) || true", DIVISION),
];

/// Expressions for which another type is inferred.
const OTHER_TYPE: &[(&str, &str)] = &[
    ("cel.block([…", BETTER),
    ("x", UNTYPED),
    ("[].filter(n, n % 2 == 0)", NOT_SOLVED),
    ("optional.of({'c': {}}).c…", NOT_SOLVED),
];

/// cel-go's tests of its checker with a feature switched off that is on here.
const OTHER_FEATURES: &[(&str, &str)] = &[
    ("1 <= 1.0 &&…", MIXED),
    ("1 < 1.0 &&…", MIXED),
    ("1 > 1.0 &&…", MIXED),
    ("1 >= 1.0 &&…", MIXED),
    ("a.?b", OPTIONAL),
    ("type(a.?b) == optional_type", OPTIONAL),
    ("has(a.?b.c)", OPTIONAL),
    ("{?'…", OPTIONAL),
    ("[?a, ?b, 'world']", OPTIONAL),
];
const MIXED: &str = "numbers of different kinds are compared";
const OPTIONAL: &str = "optional syntax is on";

/// cel-go's tests of its checker on which ours disagrees.
const DISAGREEMENTS: &[(&str, &str)] = &[
    ("[].map(x, [].map(y, x in y && y in x))", NOT_SOLVED),
    ("[{}.map(c,c,c)]+[{}.map(c,c,c)]", NOT_SOLVED),
];

/// What the checker says: a type or the first error.
fn check(test: &Json) -> Result<String, String> {
    let types = test["variables"].as_object().cloned().unwrap_or_default();
    let bindings = test["bindings"].as_object().cloned().unwrap_or_default();
    let declared = types
        .iter()
        .map(|(name, ty)| (name.as_str(), parse(ty.as_str().expect("a type"))));
    let bound = bindings.keys().filter(|name| !types.contains_key(*name));
    let environment = Environment::of(declared.chain(bound.map(|name| (name.as_str(), Type::Dyn))))
        .within(test["container"].as_str().unwrap_or_default());
    let source = test["expr"].as_str().expect("every test has an expression");
    match Program::compile(source, &environment, &Limits::interactive()) {
        Ok((program, _)) => Ok(program.result_type().to_string()),
        Err(diagnostics) => Err(diagnostics[0].message.clone()),
    }
}

fn parse(text: &str) -> Type {
    let inner = |name: &str| {
        text.strip_prefix(name)?
            .strip_prefix('(')?
            .strip_suffix(')')
    };
    if let Some(element) = inner("list") {
        return Type::list(parse(element));
    }
    if let Some(value) = inner("optional") {
        return Type::optional(parse(value));
    }
    if let Some((key, value)) = inner("map").and_then(|types| types.split_once(", ")) {
        return Type::map(parse(key), parse(value));
    }
    match text {
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
        other => panic!("unknown type {other}"),
    }
}

/// cel-go's name of a type as ours: of a type used as a value we do not say which.
fn ours(theirs: &str) -> String {
    if theirs.starts_with("type(") {
        return "type".to_owned();
    }
    // Wrapper messages are bound as the values that they stand for.
    if theirs.starts_with("wrapper(") {
        return "dyn".to_owned();
    }
    theirs.replace("optional_type(", "optional(")
}

fn tests(text: &'static str) -> impl Iterator<Item = Json> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("the file is made of JSON lines"))
}

/// Whether an expression is one of those that are known to differ.
fn is_known(expression: &str, known: &[(&str, &str)]) -> bool {
    known.iter().any(|(known, _)| begins(expression, known))
}

/// Whether the expression is the known one; `…` stands for any end.
fn begins(expression: &str, known: &str) -> bool {
    let beginning = known.strip_suffix('…');
    beginning.map_or(expression == known, |beginning| {
        expression.starts_with(beginning)
    })
}

/// Compares what differs with what is known to.
fn hold(found: &[(String, String)], known: &[(&str, &str)]) {
    let unknown: Vec<String> = found
        .iter()
        .filter(|(expression, _)| !is_known(expression, known))
        .map(|(expression, what)| format!("{expression}\n    {what}"))
        .collect();
    let gone: Vec<&str> = known
        .iter()
        .map(|(expression, _)| *expression)
        .filter(|known| {
            !found
                .iter()
                .any(|(expression, _)| begins(expression, known))
        })
        .collect();
    assert!(
        unknown.is_empty() && gone.is_empty(),
        "{}\nno difference any more: {gone:?}",
        unknown.join("\n")
    );
}

#[test]
fn no_valid_expression_of_the_conformance_tests_is_refused() {
    let mut refused = Vec::new();
    let mut count = 0;
    for test in tests(include_str!("conformance/tests.jsonl")) {
        // An error at run time may well be one that the checker sees.
        if test["unchecked"] == true || test["error"] == true {
            continue;
        }
        count += 1;
        if let Err(message) = check(&test) {
            refused.push((test["expr"].as_str().expect("a text").to_owned(), message));
        }
    }
    println!(
        "{} of {count} valid expressions accepted",
        count - refused.len()
    );
    assert!(count > 1300, "the file of tests is cut");
    hold(&refused, REFUSED);
}

#[test]
fn types_are_inferred_as_cel_go_infers_them() {
    let mut other = Vec::new();
    let mut count = 0;
    for test in tests(include_str!("conformance/tests.jsonl")) {
        let Some(theirs) = test["type"].as_str() else {
            continue;
        };
        if let Ok(found) = check(&test) {
            count += 1;
            if found != ours(theirs) {
                let expression = test["expr"].as_str().expect("a text").to_owned();
                other.push((expression, format!("{found}, not {theirs}")));
            }
        }
    }
    println!(
        "{} of {count} types as cel-go infers them",
        count - other.len()
    );
    assert!(count > 1300, "the file of tests is cut");
    hold(&other, OTHER_TYPE);
}

#[test]
fn the_checker_agrees_with_cel_go() {
    let mut disagreements = Vec::new();
    let (mut count, mut off) = (0, 0);
    for test in tests(include_str!("conformance/checking.jsonl")) {
        let expression = test["expr"].as_str().expect("a text");
        if is_known(expression, OTHER_FEATURES) {
            off += 1;
            continue;
        }
        count += 1;
        let what = match (check(&test), test["type"].as_str()) {
            (Ok(found), Some(theirs)) if found == ours(theirs) => continue,
            (Err(_), None) => continue,
            (Ok(found), Some(theirs)) => format!("{found}, not {theirs}"),
            (Ok(found), None) => format!("{found}, not {}", test["error"]),
            (Err(message), Some(theirs)) => format!("{message}, not {theirs}"),
        };
        disagreements.push((expression.to_owned(), what));
    }
    let agreed = count - disagreements.len();
    println!("{agreed} of {count} checks as cel-go's, {off} with a feature off there");
    hold(&disagreements, DISAGREEMENTS);
    assert!(agreed * 100 >= count * 95, "{agreed} of {count}");
}
