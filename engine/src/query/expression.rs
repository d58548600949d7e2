//! The value of an expression on what a rule would read of a tag, within the limits of a rule.

use serde_json::{Value, json};
use weir_rules::{
    NoFacts, State,
    cel::{Environment, EvalError, JsonLimits, Limits, Program, Severity},
    rule::{Level, Located},
};

use super::QueryError;

/// What an expression is called in messages.
pub const NAME: &str = "expression";

/// `{"value", "warnings"}`.
///
/// # Errors
/// If the expression is wrong or has no value, or the tag does not exist.
pub fn value(
    state: &State,
    expression: &str,
    repository: &str,
    tag: &str,
    rule: Option<&str>,
) -> Result<Value, QueryError> {
    let environment = Environment::rules();
    let compiled = Program::compile(expression, environment, &Limits::RULES);
    let (program, diagnostics) = compiled.map_err(|diagnostics| {
        let shown: Vec<String> = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(|diagnostic| diagnostic.render(NAME, expression))
            .collect();
        QueryError::Invalid(shown.concat().trim_end().to_owned())
    })?;
    let warnings: Vec<String> = diagnostics
        .iter()
        .map(|warning| warning.render(NAME, expression))
        .collect();
    let found = state.with_facts(repository, tag, rule, |facts| {
        let value = program
            .evaluate(facts)
            .map_err(|error| QueryError::Invalid(located(&error, NAME, expression)))?;
        environment
            .to_json(&value, facts, &JsonLimits::ANSWER)
            .map_err(|error| QueryError::Invalid(error.to_string()))
    });
    let value = found.map_err(|error| match &error {
        NoFacts::NoTag(_) => QueryError::NoTag(error.to_string()),
        NoFacts::NoRule { .. } => QueryError::NotFound(error.to_string()),
    })??;
    Ok(json!({ "value": value, "warnings": warnings }))
}

/// An error of the evaluation with its place in the expression that is called `name`.
#[must_use]
pub fn located(error: &EvalError, name: &str, expression: &str) -> String {
    let span = error.span.start as usize..error.span.end as usize;
    let message = error.message.clone();
    Located::new(name, expression, span, Level::Error, message, None).to_string()
}
