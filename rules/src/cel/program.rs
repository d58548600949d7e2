//! A compiled expression: checked once, evaluated often.

use super::ast::Span;
use super::diagnostics::{Diagnostic, Severity, arrange};
use super::environment::Environment;
use super::eval::{EvalError, Run};
use super::explain::Explanation;
use super::limits::Limits;
use super::lower::Lowering;
use super::moving::NextChange;
use super::node::Node;
use super::parser;
use super::record::Facts;
use super::scan::Scan;
use super::types::Type;
use super::value::Value;
use serde::Serialize;
use std::sync::Arc;

/// One of the conditions that must all hold: an operand of the outermost `&&`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// As it was written, without comments and with white space folded to single spaces.
    pub text: String,
    /// Where, in bytes of the source.
    pub span: Span,
}

/// What one clause came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClauseOutcome {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It could not be evaluated.
    Error(EvalError),
    /// A limit was reached before.
    NotReached,
}

/// What a predicate came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The value of the whole conjunction: false if any clause is false, even if others err.
    pub outcome: Result<bool, EvalError>,
    /// What each of [`Program::clauses`] came to, in their order; nothing if all of them hold.
    pub clauses: Vec<ClauseOutcome>,
    /// When `outcome` or `clauses` may change although no fact but the time does.
    pub next_change: NextChange,
    /// The work it took, against [`Limits::steps`].
    pub steps: u64,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    pub(super) source: Arc<str>,
    pub(super) environment: Environment,
    pub(super) limits: Limits,
    pub(super) spans: Vec<Span>,
    /// The variables that are read: index in the environment and name.
    pub(super) variables: Vec<(u16, Arc<str>)>,
    /// Names of the bound variables, by their slot.
    pub(super) names: Vec<Arc<str>>,
    pub(super) nodes: Vec<Node>,
    pub(super) clock: Option<u16>,
    clauses: Vec<Clause>,
    text: Box<str>,
    result: Type,
    time_dependent: bool,
}

impl Program {
    /// Compiles `source` against `environment`. Gives the program with the warnings, or all
    /// diagnostics (at most five errors).
    pub fn compile(
        source: &str,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<(Program, Vec<Diagnostic>), Vec<Diagnostic>> {
        Self::build(source, environment, limits, false)
    }

    /// Compiles a condition: as [`Program::compile`], and the result must be a boolean.
    pub fn compile_predicate(
        source: &str,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<(Program, Vec<Diagnostic>), Vec<Diagnostic>> {
        Self::build(source, environment, limits, true)
    }

    fn build(
        source: &str,
        environment: &Environment,
        limits: &Limits,
        predicate: bool,
    ) -> Result<(Program, Vec<Diagnostic>), Vec<Diagnostic>> {
        let tree = parser::parse(source, limits).map_err(arrange)?;
        let scan = Scan::of(source).map_err(|diagnostic| vec![diagnostic])?;
        let mut lowering = Lowering::new(source, environment, limits);
        let (conjuncts, result) = lowering.clauses(&tree, predicate);
        let clauses = conjuncts
            .iter()
            .map(|(span, _)| Clause {
                text: scan.folded(*span),
                span: *span,
            })
            .collect();
        let diagnostics = arrange(lowering.diagnostics);
        if diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
        {
            return Err(diagnostics);
        }
        let program = Program {
            source: source.into(),
            environment: environment.clone(),
            limits: *limits,
            spans: lowering.spans,
            variables: lowering.variables,
            names: lowering.names,
            nodes: conjuncts.into_iter().map(|(_, node)| node).collect(),
            clock: environment.variable("now").map(|(index, _)| index),
            clauses,
            text: scan.folded(Span::whole(source)).into(),
            result,
            time_dependent: lowering.time_dependent,
        };
        Ok((program, diagnostics))
    }

    /// The value of the expression as it is at this moment.
    pub fn evaluate(&self, facts: &dyn Facts) -> Result<Value, EvalError> {
        match self.nodes.as_slice() {
            [node] => {
                let run = Run::new(self, facts);
                match run.value(node, None) {
                    Ok(value) => Ok(value.into_owned().settled()),
                    Err(error) => Err(run.blame(*error)),
                }
            }
            _ => self.decide(facts).outcome.map(Value::Bool),
        }
    }

    /// Evaluates every clause, also those that could not change the outcome any more, so that each
    /// that fails can be named.
    pub fn decide(&self, facts: &dyn Facts) -> Evaluation {
        let run = Run::new(self, facts);
        let mut outcome = Ok(true);
        let mut clauses = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let result = run.test(node, None);
            if clauses.is_empty() {
                // As long as all hold, nothing is noted: mostly nothing ever is.
                if matches!(result, Ok(true)) {
                    continue;
                }
                clauses.resize(at, ClauseOutcome::True);
            }
            clauses.push(match result {
                Ok(true) => ClauseOutcome::True,
                Ok(false) => {
                    // A clause that is false decides over one that errs.
                    outcome = Ok(false);
                    ClauseOutcome::False
                }
                Err(error) if error.exhausted => {
                    outcome = Err(run.blame(*error));
                    break;
                }
                Err(error) => {
                    if outcome == Ok(true) {
                        outcome = Err(EvalError::clone(&error));
                    }
                    ClauseOutcome::Error(*error)
                }
            });
        }
        if let Err(error) = &outcome
            && error.exhausted
        {
            self.exhausted_at(error, &mut clauses);
        }
        let (next_change, steps) = (run.next_change(), run.budget.spent());
        Evaluation {
            outcome,
            clauses,
            next_change,
            steps,
        }
    }

    /// A limit was reached, so nothing is known for sure: the clause that reached it is named, and
    /// those that were not looked at any more are not.
    fn exhausted_at(&self, error: &EvalError, clauses: &mut Vec<ClauseOutcome>) {
        clauses.resize(self.nodes.len(), ClauseOutcome::NotReached);
        let found = self.clauses.iter().zip(clauses).find(|(clause, _)| {
            clause.span.start <= error.span.start && error.span.end <= clause.span.end
        });
        if let Some((_, outcome)) = found {
            *outcome = ClauseOutcome::Error(error.clone());
        }
    }

    /// The conditions that must all hold, in the order in which they are written.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// The whole expression as it was written, without comments and with white space folded.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The expression as a tree of parts with the value of each.
    pub fn explain(&self, facts: &dyn Facts) -> Explanation {
        super::explain::explain(self, facts)
    }

    /// Whether the expression names this variable of the environment.
    pub fn reads(&self, variable: &str) -> bool {
        self.variables.iter().any(|(_, name)| **name == *variable)
    }

    /// Whether the outcome can change although no fact but the time does. It may say so although
    /// it cannot, never the opposite.
    pub fn time_dependent(&self) -> bool {
        self.time_dependent
    }

    /// The static type of the result.
    pub fn result_type(&self) -> &Type {
        &self.result
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// A program of nothing, in which a constant can be computed.
    pub(super) fn of_constant(environment: &Environment, limits: &Limits) -> Program {
        Program {
            source: "".into(),
            environment: environment.clone(),
            limits: *limits,
            spans: Vec::new(),
            variables: Vec::new(),
            names: Vec::new(),
            nodes: Vec::new(),
            clock: None,
            clauses: Vec::new(),
            text: "".into(),
            result: Type::Dyn,
            time_dependent: false,
        }
    }

    pub(super) fn span(&self, id: u32) -> Span {
        self.spans.get(id as usize).copied().unwrap_or_default()
    }
}
