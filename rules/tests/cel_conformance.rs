//! The published conformance tests of CEL, run through our evaluator.
//!
//! Prints the count for each section. A test that does not pass is named in `EXCEPTIONS` with the
//! reason; one that is named there and passes fails the suite too.

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_rules::cel::{Environment, FactError, Facts, Limits, Map, Program, Value};

/// Section, name, expression and why it does not pass.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

struct Bindings(Vec<Value>);

impl Facts for Bindings {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        Ok(&self.0[usize::from(index)])
    }
}

#[test]
fn the_published_conformance_tests_pass() {
    let text = include_str!("conformance/tests.jsonl");
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut failures = Vec::new();
    for line in text.lines() {
        let test: Json = serde_json::from_str(line).expect("the file is made of JSON lines");
        let section = test["section"].as_str().expect("every test has a section");
        let name = test["name"].as_str().expect("every test has a name");
        let excepted = EXCEPTIONS
            .iter()
            .any(|(s, n, _)| *s == section && *n == name);
        let count = counts.entry(section.to_owned()).or_default();
        count.1 += 1;
        match (run(&test), excepted) {
            (Ok(()), false) => count.0 += 1,
            (Err(_), true) => {}
            (Ok(()), true) => failures.push(format!("{section}/{name} passes, but is excepted")),
            (Err(message), false) => {
                failures.push(format!("{section}/{name}: {}\n    {message}", test["expr"]));
            }
        }
    }
    let (passed, total) = counts
        .values()
        .fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    for (section, (passed, total)) in &counts {
        println!("{section:16} {passed:5} of {total:5}");
    }
    println!("{:16} {passed:5} of {total:5}", "total");
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(total >= 1653, "the file of tests is cut");
    let said = format!("{passed} of {total} pass");
    assert!(
        include_str!("../../README.md").contains(&said),
        "the README says otherwise than `{said}`"
    );
}

fn run(test: &Json) -> Result<(), String> {
    let empty = serde_json::Map::new();
    let bindings = test["bindings"].as_object().unwrap_or(&empty);
    let environment = Environment::open(bindings.keys().map(String::as_str))
        .within(test["container"].as_str().unwrap_or_default())
        .unchecked();
    let facts = Bindings(bindings.values().map(value).collect());
    let source = test["expr"].as_str().expect("every test has an expression");
    let limits = Limits {
        list_items: 1_000_000,
        ..Limits::interactive()
    };
    let result = match Program::compile(source, &environment, &limits) {
        Ok((program, _)) => program.evaluate(&facts).map_err(|error| error.message),
        Err(diagnostics) => Err(diagnostics[0].message.clone()),
    };
    match (result, test.get("value")) {
        (Err(_), None) => Ok(()),
        (Err(message), Some(_)) => Err(format!("error: {message}")),
        (Ok(got), None) => Err(format!("an error was expected, got {}", canonical(&got))),
        (Ok(got), Some(wanted)) => {
            let (got, wanted) = (canonical(&got), canonical(&value(wanted)));
            if got == wanted {
                Ok(())
            } else {
                Err(format!("got {got}, wanted {wanted}"))
            }
        }
    }
}

/// A value as it stands in the file: an object with its kind.
fn value(json: &Json) -> Value {
    let (kind, content) = json
        .as_object()
        .and_then(|object| object.iter().next())
        .expect("a kind");
    let text = || content.as_str().expect("a text");
    match kind.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(content == &Json::Bool(true)),
        "int" => Value::Int(text().parse().expect("an int")),
        "uint" => Value::Uint(text().parse().expect("a uint")),
        "double" => Value::Double(match text() {
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            other => other.parse().expect("a double"),
        }),
        "string" => text().into(),
        "bytes" => evaluate(&format!("base64.decode('{}')", text())),
        "duration" => evaluate(&format!("duration('{}')", text())),
        "timestamp" => evaluate(&format!("timestamp('{}')", text())),
        "type" => evaluate(text()),
        "list" => content
            .as_array()
            .expect("a list")
            .iter()
            .map(value)
            .collect::<Vec<_>>()
            .into(),
        "map" => {
            let entries = content.as_array().expect("entries");
            Value::Map(Arc::new(Map::new(
                entries
                    .iter()
                    .map(|entry| (value(&entry[0]), value(&entry[1]))),
            )))
        }
        other => panic!("unknown kind {other}"),
    }
}

fn evaluate(source: &str) -> Value {
    let environment = Environment::open(Vec::<&str>::new());
    let (program, _) =
        Program::compile(source, &environment, &Limits::interactive()).expect(source);
    program.evaluate(&Bindings(Vec::new())).expect(source)
}

/// A text that is the same for the same value of the same type, and only then.
fn canonical(value: &Value) -> String {
    match value {
        Value::Double(number) => format!("double {number:?}"),
        Value::List(list) => format!(
            "[{}]",
            list.iter().map(canonical).collect::<Vec<_>>().join(", ")
        ),
        Value::Map(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{}: {}", canonical(key), canonical(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Optional(Some(inner)) => format!("optional {}", canonical(inner)),
        other => format!("{} {}", other.type_name(), other.to_json()),
    }
}
