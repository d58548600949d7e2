//! `weir eval`: the value of one expression, of given values or of a tag as rules see it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use serde_json::Value as Json;
use weir_rules::cel::{Environment, FactError, Facts, JsonLimits, Limits, Program, Value};

use super::access::Access;
use super::error::CliError;
use super::why::tag_of;
use crate::node::At;
use crate::query::Query;
use crate::query::expression::{NAME, located};

/// Evaluates an expression and prints its value as JSON.
///
/// With `--at REPO:TAG` it reads what a rule would read of that tag, of the running daemon or of the
/// log in the data directory, and is checked as a rule is. With `--input` it reads the values in a
/// file. Exit code 2 if there is no value.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The expression
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    pub expression: String,
    /// JSON object with a value for each variable; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["at", "rule"])]
    pub input: Option<PathBuf>,
    /// The tag whose facts are read; given once more, the sequence or time at which
    #[arg(long, value_name = "REPO:TAG|SEQ|TIME")]
    pub at: Vec<String>,
    /// Read the facts as this rule does: they differ by target and approvals
    #[arg(long, value_name = "RULE", requires = "at")]
    pub rule: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// What `--at` says.
#[derive(Debug, PartialEq, Eq)]
struct Subject {
    repository: String,
    tag: String,
    when: Option<String>,
}

/// Prints the value.
///
/// # Errors
/// If there is none.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let value = match subject(&args.at)? {
        Some(subject) => of_tag(args, subject)?,
        None => of_input(args)?,
    };
    writeln!(std::io::stdout().lock(), "{value}").map_err(CliError::output)?;
    Ok(ExitCode::SUCCESS)
}

/// Tells tags from times and sequences: no tag looks like either.
fn subject(at: &[String]) -> Result<Option<Subject>, CliError> {
    let (when, tags): (Vec<&String>, Vec<&String>) =
        at.iter().partition(|text| text.parse::<At>().is_ok());
    match (tags.as_slice(), when.as_slice()) {
        ([], []) => Ok(None),
        ([tag], [] | [_]) => {
            let (repository, tag) = tag_of(tag)?;
            let when = when.first().map(|when| (*when).clone());
            let subject = Subject {
                repository,
                tag,
                when,
            };
            Ok(Some(subject))
        }
        ([], [when, ..]) => Err(CliError::usage(format!(
            "`--at {when}` says when, and no `--at` of what"
        ))
        .hint(format!("name a tag too: `--at REPO:TAG --at {when}`"))),
        ([_, other, ..], _) => Err(CliError::usage(format!(
            "`--at {other}`: another tag is named already"
        ))
        .hint("an expression is evaluated for one tag, at one sequence or RFC 3339 time")),
        (_, [_, other, ..]) => Err(CliError::usage(format!(
            "`--at {other}`: another time is named already"
        ))),
    }
}

/// The value on the facts of a tag, as the daemon or the log answers.
fn of_tag(args: &Args, subject: Subject) -> Result<Json, CliError> {
    let query = Query::Eval {
        expression: args.expression.clone(),
        repository: subject.repository,
        tag: subject.tag,
        rule: args.rule.clone(),
        at: subject.when,
    };
    let mut answer = args.access.open()?.ask(&query)?;
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        tell!("{}", warning.as_str().unwrap_or_default().trim_end());
    }
    Ok(answer["value"].take())
}

/// The value on what a file says.
fn of_input(args: &Args) -> Result<Json, CliError> {
    let input = match &args.input {
        None => Json::Object(serde_json::Map::new()),
        Some(path) => read_input(path)?,
    };
    let expression = args.expression.clone();
    let nothing_given = args.input.is_none();
    // A long expression nests deeper than the stack of the main thread allows.
    let worker = thread::Builder::new()
        .stack_size(Limits::INTERACTIVE_STACK)
        .spawn(move || evaluate(&expression, &input))
        .map_err(CliError::output)?;
    let result = worker
        .join()
        .map_err(|_| CliError::usage("the evaluation ended without a value"))?;
    result.map_err(|mut message| {
        if nothing_given && message.contains(": no variable ") {
            message.push_str(
                "\nhint: name a tag with `--at REPO:TAG`, or give values with `--input FILE`",
            );
        }
        CliError::usage(message)
    })
}

fn read_input(path: &PathBuf) -> Result<Json, CliError> {
    let text = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).map_err(CliError::read(path))?
    } else {
        fs::read_to_string(path).map_err(CliError::read(path))?
    };
    let json: Json = serde_json::from_str(&text)
        .map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
    if json.is_object() {
        Ok(json)
    } else {
        Err(CliError::usage(format!(
            "{}: expected a JSON object with a value for each variable",
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
    let limits = Limits::interactive();
    let (program, objections) = match Program::compile(expression, &environment, &limits) {
        Ok((program, _)) => (program, None),
        Err(diagnostics) => {
            let shown: Vec<String> = diagnostics
                .iter()
                .map(|diagnostic| diagnostic.render(NAME, expression))
                .collect();
            let shown = shown.concat().trim_end().to_owned();
            // What a rule may not say can have a value all the same: `true || 1 / 0 > 1`.
            match Program::compile(expression, &environment.clone().unchecked(), &limits) {
                Ok((program, _)) => (program, Some(shown)),
                Err(_) => return Err(shown),
            }
        }
    };
    let value = match (program.evaluate(&facts), &objections) {
        (Ok(value), _) => value,
        (Err(_), Some(shown)) => return Err(shown.clone()),
        (Err(error), None) => return Err(located(&error, NAME, expression)),
    };
    if let Some(shown) = objections {
        tell!("{shown}\nwarning: a rule that says this is refused");
    }
    environment
        .to_json(&value, &facts, &JsonLimits::ANSWER)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Subject, evaluate, subject};

    #[test]
    fn values_are_printed_as_json() {
        let input = json!({ "scan": { "critical": 2 }, "tags": ["a", "b"] });
        for (expression, expected) in [
            ("1 + 2", json!(3)),
            ("scan.critical > 1 && size(tags) == 2", json!(true)),
            ("tags.map(t, t + '!')", json!(["a!", "b!"])),
            ("{'a': 1.5}", json!({ "a": 1.5 })),
            ("duration('90m')", json!("5400s")),
            ("-9223372036854775808", json!(i64::MIN)),
            ("true || 1 / 0 > 1", json!(true)),
            ("'a' == 1", json!(false)),
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

    #[test]
    fn a_value_too_large_to_print_is_refused() {
        for (expression, wanted) in [
            ("lists.range(100000)", "the value is made of more than"),
            (
                "cel.bind(t, lists.range(10000).map(y, '123456').join(), lists.range(200).map(x, t))",
                "the value is more than 8388608 bytes as JSON",
            ),
        ] {
            let message = evaluate(expression, &json!({})).unwrap_err();
            assert!(message.starts_with(wanted), "{message}");
        }
    }

    #[test]
    fn at_names_a_tag_and_when() {
        let named = |at: &[&str]| subject(&at.iter().map(ToString::to_string).collect::<Vec<_>>());
        let found = |repository: &str, tag: &str, when: Option<&str>| {
            Some(Subject {
                repository: repository.to_owned(),
                tag: tag.to_owned(),
                when: when.map(str::to_owned),
            })
        };
        for (at, expected) in [
            (&[][..], None),
            (&["dev/shop:1.4"], found("dev/shop", "1.4", None)),
            (
                &["localhost:5000/a:7"],
                found("localhost:5000/a", "7", None),
            ),
            (&["dev/shop:1", "120"], found("dev/shop", "1", Some("120"))),
            (&["120", "dev/shop:1"], found("dev/shop", "1", Some("120"))),
            (
                &["2026-03-01T00:00:00Z", "a:1"],
                found("a", "1", Some("2026-03-01T00:00:00Z")),
            ),
        ] {
            assert_eq!(named(at).ok(), Some(expected), "{at:?}");
        }
        for (at, message) in [
            (&["120"][..], "`--at 120` says when"),
            (&["a"], "`a` names no tag"),
            (&["a:1", "b:1"], "`--at b:1`: another tag"),
            (&["a:1", "1", "2"], "`--at 2`: another time"),
        ] {
            let error = named(at).expect_err("refused").to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
