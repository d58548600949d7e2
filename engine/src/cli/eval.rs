//! `weir eval`: the value of one expression.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use serde_json::Value as Json;
use weir_rules::cel::{Environment, FactError, Facts, Limits, Program, Value};
use weir_rules::rule::{Level, Located};

use super::failure::Failure;

/// What an expression is called in messages.
const SOURCE_NAME: &str = "expression";

/// Evaluates an expression and prints its value as JSON.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The expression
    #[arg(value_name = "EXPR")]
    pub expression: String,
    /// JSON object with a value for each variable; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
}

/// Prints the value; exit code 2 if there is none.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let input = match &args.input {
        None => Json::Object(serde_json::Map::new()),
        Some(path) => read_input(path)?,
    };
    let expression = args.expression.clone();
    // A long expression nests deeper than the stack of the main thread allows.
    let worker = thread::Builder::new()
        .stack_size(Limits::INTERACTIVE_STACK)
        .spawn(move || evaluate(&expression, &input))
        .map_err(Failure::Output)?;
    let result = worker
        .join()
        .map_err(|_| Failure::input("the evaluation ended without a value"))?;
    let value = result.map_err(Failure::Input)?;
    writeln!(std::io::stdout().lock(), "{value}")?;
    Ok(ExitCode::SUCCESS)
}

fn read_input(path: &PathBuf) -> Result<Json, Failure> {
    let text = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).map_err(Failure::read(path))?
    } else {
        fs::read_to_string(path).map_err(Failure::read(path))?
    };
    let json: Json = serde_json::from_str(&text)
        .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
    if json.is_object() {
        Ok(json)
    } else {
        Err(Failure::input(format!(
            "{}: expected a JSON object",
            path.display()
        )))
    }
}

/// Variables by their place in the input.
struct InputFacts(Vec<Value>);

impl Facts for InputFacts {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        let value = self.0.get(usize::from(index));
        value.ok_or_else(|| {
            let message = "no such variable".to_owned();
            Box::new(FactError { message })
        })
    }
}

/// The value as JSON, or what is wrong and where.
fn evaluate(expression: &str, input: &Json) -> Result<Json, String> {
    let object = input.as_object();
    let names = object
        .into_iter()
        .flat_map(|object| object.keys().map(String::as_str));
    let environment = Environment::open(names);
    let values = object
        .into_iter()
        .flat_map(|object| object.values().map(Value::from_json));
    let facts = InputFacts(values.collect());
    let (program, _) = Program::compile(expression, &environment, &Limits::interactive()).map_err(
        |diagnostics| {
            let shown: Vec<String> = diagnostics
                .iter()
                .map(|diagnostic| diagnostic.render(SOURCE_NAME, expression))
                .collect();
            shown.join("\n")
        },
    )?;
    program
        .evaluate(&facts)
        .map(|value| value.to_json())
        .map_err(|error| {
            let span = error.span.start as usize..error.span.end as usize;
            let level = Level::Error;
            Located::new(SOURCE_NAME, expression, span, level, error.message, None).to_string()
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::evaluate;

    #[test]
    fn values_are_printed_as_json() {
        let input = json!({ "scan": { "critical": 2 }, "tags": ["a", "b"] });
        for (expression, expected) in [
            ("1 + 2", json!(3)),
            ("scan.critical > 1 && size(tags) == 2", json!(true)),
            ("tags.map(t, t + '!')", json!(["a!", "b!"])),
            ("{'a': 1.5}", json!({ "a": 1.5 })),
            ("duration('90m')", json!("5400s")),
        ] {
            assert_eq!(evaluate(expression, &input), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn a_mistake_is_shown_at_its_place() {
        for (expression, place) in [
            ("1 +", "expression:1:"),
            ("scn", "expression:1:1: "),
            ("1 + 1 / 0", "expression:1:"),
            ("[1][5]", "expression:1:"),
        ] {
            let shown = evaluate(expression, &json!({})).unwrap_err();
            assert!(shown.starts_with(place), "{shown}");
            assert!(shown.contains(&format!("\n  1 | {expression}")), "{shown}");
        }
    }
}
