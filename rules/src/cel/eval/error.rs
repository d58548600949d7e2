//! Evaluations that gave no value: what they say.

use super::super::ast::Span;
use super::super::budget::Fault;
use super::super::node::Node;
use super::super::value::Value;
use super::Run;

/// An evaluation that gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What went wrong: lower case, no full stop.
    pub message: String,
    /// Where, in bytes of the source.
    pub span: Span,
    /// Whether a limit was reached, so that nothing is known of the rest.
    pub exhausted: bool,
    /// Whether what was read is not there: a field, a key, an element.
    pub absent: bool,
}

/// Boxed, so that a value and the absence of one take the same room.
pub(in super::super) type Failure = Box<EvalError>;

/// What an error takes from the budget, for one that is absorbed is made in vain: about as long as
/// so many turns of a loop.
const ERROR_STEPS: usize = 10;

impl Run<'_> {
    #[cold]
    pub(super) fn fail(&self, node: &Node, message: impl Into<String>) -> Failure {
        self.budget.take(ERROR_STEPS);
        Box::new(EvalError {
            message: message.into(),
            span: self.program.span(node.id),
            exhausted: false,
            absent: false,
        })
    }

    /// As [`Run::fail`], where what was read is not there.
    #[cold]
    pub(super) fn missing(&self, node: &Node, message: impl Into<String>) -> Failure {
        let mut failure = self.fail(node, message);
        failure.absent = true;
        failure
    }

    /// The error of a binding, where its name is read.
    #[cold]
    pub(super) fn again(&self, error: &EvalError) -> Failure {
        self.budget.take(ERROR_STEPS);
        Box::new(error.clone())
    }

    #[cold]
    pub(super) fn fault(&self, node: &Node, fault: Fault, operands: &[&Value]) -> Failure {
        self.budget.take(ERROR_STEPS);
        let (message, exhausted) = match fault {
            Fault::Failed(message) => (message, false),
            Fault::Exhausted(message) => (message, true),
            Fault::NoOverload => {
                let types: Vec<_> = operands.iter().map(|value| short_type(value)).collect();
                (format!("not possible with {}", types.join(" and ")), false)
            }
        };
        Box::new(EvalError {
            message,
            span: self.program.span(node.id),
            exhausted,
            absent: false,
        })
    }
}

/// The type as a message names it.
pub(in super::super) fn short_type(value: &Value) -> &'static str {
    match value.type_name() {
        "google.protobuf.Duration" => "duration",
        "google.protobuf.Timestamp" => "timestamp",
        "null_type" => "null",
        "optional_type" => "optional",
        name => name,
    }
}

/// A key or an index, as a message shows it.
pub(super) fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let clipped: String = text.chars().take(40).collect();
            format!("'{clipped}'")
        }
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Double(number) => number.to_string(),
        other => format!("a {}", short_type(other)),
    }
}
